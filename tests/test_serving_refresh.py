"""Scheduled refresh: real child processes, and once the whole of `docduet serve` over a folder that changes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.ops.metrics import Metrics
from serving.refresh import Plan, Refresher, Result, read_result
from tests.fakes import HashedWords

# Notes its process id, waits as long as it is told, and reports one page more each time.
CHILD = """
import json, os, pathlib, sys, time
runs = pathlib.Path(sys.argv[1])
with runs.open("a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(float(sys.argv[2]))
if len(sys.argv) > 3:
    sys.exit("docduet: " + sys.argv[3])
print(json.dumps({"sources": [{"added": ["a.md"] * len(runs.read_text().split()), "unchanged": 7}], "index": {}}))
"""


@pytest.fixture
def refresher(tmp_path: Path) -> Callable[..., Refresher]:
    def make(every_s: float = 3600.0, takes_s: float = 0.0, fails: str = "") -> Refresher:
        home = Home(tmp_path)
        argv = (sys.executable, "-S", "-c", CHILD, str(tmp_path / "runs"), str(takes_s), *([fails] if fails else []))
        plan = Plan(every_s, argv, home.refresh, home.logs / "refresh.log", {})
        return Refresher(plan, LiveIndex(home, RagConfig(), HashedWords()))

    return make


def runs(tmp_path: Path) -> list[int]:
    """Process ids of the children so far."""
    path = tmp_path / "runs"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def until(true: Callable[[], Any]) -> None:
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("this did not happen")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_the_result_is_kept_and_a_restart_does_not_refresh_at_once(
    refresher: Callable[..., Refresher], tmp_path: Path
) -> None:
    async with refresher() as first:
        await until(lambda: first.last)
    last = first.last
    assert last
    assert (last.added, last.unchanged, last.error) == (1, 7, "")
    assert last.ended_at - 1 < last.succeeded_at <= time.time()
    async with refresher() as second:
        assert second.last == last
        assert second.due_at() == last.ended_at + 3600
        await asyncio.sleep(0.3)
        status = second.status()
    assert len(runs(tmp_path)) == 1
    assert status["state"] == "waiting"
    assert status["last"]["added"] == 1


async def test_it_goes_on_by_itself(refresher: Callable[..., Refresher], tmp_path: Path) -> None:
    async with refresher(every_s=0.1) as running:
        await until(lambda: running.last and running.last.added >= 2)


async def test_a_failure_is_kept_and_tried_again_at_the_next_time(
    refresher: Callable[..., Refresher], tmp_path: Path
) -> None:
    async with refresher() as good:
        await until(lambda: good.last)
    assert good.last
    async with refresher(every_s=0.1, fails="the site does not answer") as bad:
        await until(lambda: bad.last and bad.last.error and len(runs(tmp_path)) >= 3)
    assert bad.last
    assert bad.last.error == "the site does not answer"
    assert bad.last.succeeded_at == good.last.succeeded_at
    assert "the site does not answer" in (tmp_path / "logs" / "refresh.log").read_text()
    metrics = Metrics()
    metrics.refreshed(bad.last)
    assert metrics.registry.get_sample_value("docduet_refresh_ok") == 0.0
    assert metrics.registry.get_sample_value("docduet_refreshed_at") == good.last.succeeded_at


async def test_a_command_that_cannot_run_is_a_failure(refresher: Callable[..., Refresher], tmp_path: Path) -> None:
    broken = refresher()
    broken.plan = Plan(3600.0, ("/no/such/command",), broken.plan.state, broken.plan.log, {})
    async with broken:
        await until(lambda: broken.last and broken.last.error)


async def test_a_home_that_cannot_be_written_is_tried_again(
    refresher: Callable[..., Refresher],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("serving.refresh.LOOK_S", 0.05)
    (tmp_path / "moved").write_text("a file, where the folder should be")
    running = refresher()
    running.plan = replace(running.plan, state=tmp_path / "moved" / "refresh.json")
    async with running:
        await until(lambda: "cannot be looked after" in caplog.text)
        (tmp_path / "moved").unlink()
        await until(lambda: running.last)


async def test_two_gateways_of_one_home_take_turns(refresher: Callable[..., Refresher], tmp_path: Path) -> None:
    async with refresher(takes_s=0.5) as one, refresher(takes_s=0.5) as other:
        await until(lambda: one.last and other.last)
        await asyncio.sleep(1.5)
        assert one.last == other.last
    assert len(runs(tmp_path)) == 1


async def test_the_child_ends_with_the_gateway(refresher: Callable[..., Refresher], tmp_path: Path) -> None:
    async with refresher(takes_s=60) as running:
        await until(lambda: runs(tmp_path))
        assert running.status()["state"] == "running"
        child = runs(tmp_path)[0]
        assert alive(child)
    assert not alive(child)
    assert running.last is None


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "refresh.json"
    for text in ("", "[]", '{"what": 1}', "{"):
        path.write_text(text)
        assert Result.load(path) is None
    Result(1.0, 2.0, error="é").save(path)
    assert Result.load(path) == Result(1.0, 2.0, error="é")


@pytest.mark.parametrize(
    ("printed", "said", "code", "error"),
    [
        ('{"sources": [{"added": ["a"], "unchanged": 3}, {"removed": ["b", "c"]}]}', "Reading\n", 0, ""),
        ('{"sources": [{"source": "x", "error": "gone"}]}', "docduet: gone\n", 1, "gone"),
        ("", "skipped\n\ndocduet: no room\n", 1, "no room"),
        ("", "Traceback\n  File\nKeyError: 'x'\n", 1, "KeyError: 'x'"),
        ("", "", -9, "`docduet sync` ended with code -9"),
        ("null", "", 0, ""),
    ],
)
def test_what_a_sync_says(printed: str, said: str, code: int, error: str) -> None:
    result = read_result(printed.encode(), said, code)
    assert result.error == error
    if "removed" in printed:
        assert (result.added, result.removed, result.unchanged) == (1, 2, 3)


@pytest.mark.timeout(600)
def test_serve_follows_a_folder_and_survives_its_loss(tmp_path: Path) -> None:
    """The real thing: no index at first, then one, then a newer one, then a source that is gone, then SIGKILL."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "port.md").write_text("# Ports\n\nThe gateway listens on port 1111.\n")
    (tmp_path / "docduet.toml").write_text('[data]\nsources = ["docs"]\nrefresh = "1s"\n')
    command = [sys.executable, "-m", "docduet", "serve", "--port", "0", "--no-ui"]
    environment = {**os.environ, "DOCDUET_HOME": str(tmp_path / "home")}
    gateway = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    try:
        assert gateway.stdout
        url = next(found.group() for line in gateway.stdout if (found := re.search(r"http://[\w.:]+", line)))

        def state() -> dict[str, Any]:
            body: dict[str, Any] = httpx.get(f"{url}/readyz", timeout=60).json()
            return {"ready": body["ready"], **body["parts"]["refresh"], "last": body["parts"]["refresh"]["last"] or {}}

        def texts() -> str:
            return json.dumps(httpx.post(f"{url}/v1/search", json={"query": "gateway port"}, timeout=60).json())

        def wait_for(true: Callable[[], Any]) -> None:
            while not true():
                assert gateway.poll() is None
                time.sleep(0.2)

        wait_for(lambda: state()["ready"])
        assert "port 1111" in texts()
        (docs / "port.md").write_text("# Ports\n\nThe gateway listens on port 2222.\n")
        wait_for(lambda: "port 2222" in texts())
        (docs / "port.md").unlink()
        docs.rmdir()
        wait_for(lambda: state()["last"].get("error"))
        assert state()["ready"]
        assert "port 2222" in texts()
        assert "docduet_refresh_ok 0.0" in httpx.get(f"{url}/metrics").text
        wait_for(lambda: state()["state"] == "running" and syncs(tmp_path))
        children = syncs(tmp_path)
        gateway.kill()
        gateway.wait()
        deadline = time.monotonic() + 30
        while any(map(alive, children)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(map(alive, children))
    finally:
        gateway.kill()


def syncs(folder: Path) -> list[int]:
    """Process ids of every `docduet sync` that works in ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if path.joinpath("cwd").readlink() == folder and b"--json" in path.joinpath("cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found
