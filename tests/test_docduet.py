"""The front door: what a user types, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from data.errors import SourceError
from docduet import app

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "DOCDUET_HOME": str(tmp_path / "home"), "COLUMNS": "120", "NO_COLOR": "1"}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "docduet", *args]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=100)

    return run


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "port.md").write_text("# Ports\n\nThe gateway listens on port 7860 by default.\n")
    (folder / "zh.md").write_text("# 端口\n\n网关默认监听 7860 端口。\n", encoding="utf-8")
    return folder


def test_help_needs_no_heavy_import(tmp_path: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['docduet', '--help']\ntry: runpy.run_module('docduet', run_name='__main__')\n"
    )
    code += "except SystemExit: pass\nheavy = ('torch', 'gradio', 'faiss', 'fastapi', 'numpy')\n"
    code += "print([name for name in heavy if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_sync_ask_and_search(run: Run, docs: Path) -> None:
    assert run("sync", str(docs)).returncode == 0
    asked = run("ask", "Which port does the gateway listen on?")
    assert asked.returncode == 0, asked.stderr
    assert "7860" in asked.stdout
    assert "port.md" in asked.stdout or "Ports" in asked.stdout
    assert "7860" in run("rag", "search", "网关端口").stdout


def test_rules_label_a_tree_and_questions_keep_to_a_part_of_it(run: Run, tmp_path: Path) -> None:
    for product, version, port in (("widget", "1.0", 1010), ("widget", "2.0", 1020), ("gadget", "2.0", 3020)):
        page = tmp_path / "tree" / product / version / "port.md"
        page.parent.mkdir(parents=True)
        page.write_text(f"# Ports\n\nThe {product} listens on port {port} by default.\n")
    (tmp_path / "docduet.toml").write_text('[[data.labels]]\nmatch = "{product}/{version}/**"\n')
    assert run("sync", "tree").returncode == 0
    question = "Which port does it listen on by default?"
    asked = run("ask", question, "--product", "widget", "--version", "1.0")
    assert "1010" in asked.stdout, asked.stderr
    assert "1020" not in asked.stdout
    assert "there are: gadget, widget" in run("rag", "search", "port", "--product", "x").stderr


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[servin]\nport = 1\n", "did you mean 'serving'"),
        ("[serving]\nprot = 1\n", "did you mean 'port'"),
        ("[serving]\nport = 'x'\n", "serving.port"),
        ("[serving\n", "not valid TOML"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(run: Run, tmp_path: Path, toml: str, message: str) -> None:
    (tmp_path / "docduet.toml").write_text(toml)
    done = run("ask", "anything")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_indexed_yet(run: Run) -> None:
    done = run("ask", "anything")
    assert done.returncode == 1
    assert "docduet sync" in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "--port" in done.stderr


def test_a_port_that_cannot_be_is_one_clear_line() -> None:
    wrong = CliRunner().invoke(app, ["serve", "--port", "99999"])
    assert wrong.exit_code == 2
    assert "65535" in wrong.output


def test_an_engine_that_is_no_address_is_one_clear_line(run: Run) -> None:
    result = run("serve", "--engine", "127.0.0.1:8000")
    assert result.returncode == 1
    assert "--engine '127.0.0.1:8000' is no address: write http://HOST:PORT/v1" in result.stderr


def test_serve_until_interrupted(run: Run, docs: Path, environment: dict[str, str]) -> None:
    run("sync", str(docs))
    command = [sys.executable, "-m", "docduet", "serve", "--port", "0", "--no-ui"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=docs.parent)
    assert process.stdout
    url = next(found.group() for line in process.stdout if (found := re.search(r"http://[\w.:]+", line)))
    assert httpx.get(f"{url}/readyz").json()["ready"]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in (0, 130, -signal.SIGINT)


def test_sync_without_arguments(docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources of docduet.toml, else the known ones; one that fails takes nothing from the others."""
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    nothing = CliRunner().invoke(app, ["sync"])
    assert "nothing to sync yet" in str(nothing.exception)
    toml = tmp_path / "docduet.toml"
    toml.write_text('[data]\nsources = ["docs", "gone"]\n')
    partly = CliRunner().invoke(app, ["sync", "--json"])
    assert isinstance(partly.exception, SourceError)
    assert "gone" in str(partly.exception)
    body = json.loads(partly.stdout)
    assert (body["sources"][0]["added"], body["index"]["pages"]) == (["port.md", "zh.md"], 2)
    assert body["sources"][1]["source"] == "gone"
    assert body["sources"][1]["error"] == str(partly.exception)
    toml.unlink()
    again = CliRunner().invoke(app, ["sync", "--json"])
    assert again.exit_code == 0, again.exception
    body = json.loads(again.stdout)
    assert [(report["source"], report["unchanged"]) for report in body["sources"]] == [(str(docs), 2)]
    assert body["index"]["built"] is False
