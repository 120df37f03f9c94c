"""`docduet data ...` through the front door."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from data.cli import SHOWN_SKIPPED
from data.errors import DocDuetError
from docduet import app


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "docs"
    (folder / "zh").mkdir(parents=True)
    (folder / "install.md").write_text("# Install\n\nRun the installer.", encoding="utf-8")
    (folder / "zh" / "install.md").write_text("# 安装\n\n运行安装程序。", encoding="utf-8")
    return folder


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, ["data", *args])


def ok(*args: str) -> Result:
    result = invoke(*args)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_sync_says_what_it_did(docs: Path) -> None:
    assert "2 added, 0 changed, 0 removed, 0 unchanged, 0 skipped" in ok("sync", str(docs)).stdout
    (docs / "install.md").unlink()
    result = ok("sync", str(docs))
    assert "0 added, 0 changed, 1 removed, 1 unchanged" in result.stdout
    assert "1 pages in the store" in result.stdout


def test_a_source_that_fails_does_not_hide_the_others(docs: Path) -> None:
    result = invoke("sync", "nowhere", str(docs))
    assert result.exit_code == 1
    assert "2 added" in result.stdout
    assert "nowhere: no such folder" in str(result.exception)
    result = invoke("sync", str(docs), "nowhere", "--json")
    done, bad = json.loads(result.stdout)
    assert (done["unchanged"], bad["source"]) == (2, "nowhere")
    assert "no such folder" in bad["error"]


def test_a_web_address_without_its_beginning(docs: Path) -> None:
    assert "write https://docs.example.com/guide if" in str(invoke("sync", "docs.example.com/guide").exception)
    assert "https://" not in str(invoke("sync", "nowhere").exception)


def test_sync_as_json_with_labels(docs: Path) -> None:
    args = ("--base-url", "https://d.example", "--product", "W", "--version", "2", "--json")
    (report,) = json.loads(ok("sync", str(docs), *args).stdout)
    assert report["added"] == ["https://d.example/install.md", "https://d.example/zh/install.md"]
    assert (report["unchanged"], report["skipped"]) == (0, [])
    (page,) = json.loads(ok("list", "--lang", "zh", "--json").stdout)
    assert (page["title"], page["product"], page["version"]) == ("安装", "W", "2")


def test_many_skipped_files_are_counted_not_all_listed(docs: Path) -> None:
    for number in range(SHOWN_SKIPPED + 5):
        (docs / f"e{number:02}.md").touch()
        (docs / f"a{number:02}.css").write_text("body { color: red; }\n")
    result = ok("sync", str(docs))
    assert "css" not in result.stderr  # what should have been a document comes first
    assert result.stderr.count("the file is empty") == SHOWN_SKIPPED
    assert f"and {SHOWN_SKIPPED + 10} more" in result.stderr


def test_list_and_show(docs: Path) -> None:
    ok("sync", str(docs))
    assert ok("list").stdout.splitlines() == ["en  install.md  Install", "zh  zh/install.md  安装"]
    assert ok("show", "install.md").stdout == "# Install\n\nRun the installer.\n"


def test_forget_removes_one_source(docs: Path) -> None:
    ok("sync", str(docs))
    assert "2 pages removed" in ok("forget", "docs").stdout
    assert ok("list").stdout == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("show", "instal.md"), "did you mean install.md"),
        (("sync", "nowhere"), "no such folder"),
        (("forget", "nowhere"), "sources are"),
    ],
)
def test_mistakes_raise_what_the_front_door_prints(docs: Path, args: tuple[str, ...], message: str) -> None:
    ok("sync", str(docs))
    result = invoke(*args)
    assert isinstance(result.exception, DocDuetError)
    assert message in str(result.exception)


def test_an_error_is_one_line_without_a_traceback(docs: Path) -> None:
    command = [sys.executable, "-m", "docduet", "data", "sync", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "docduet: nowhere: no such folder; check the path\n"


def test_help_loads_nothing_heavy() -> None:
    heavy = (
        "{'numpy', 'magika', 'selectolax', 'docutils', 'mammoth', 'pypdfium2', 'pydantic', 'torch', 'rich.progress'}"
    )
    code = (
        f"import sys, docduet; sys.exit(str(sorted({heavy} & set(sys.modules))) if {heavy} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
