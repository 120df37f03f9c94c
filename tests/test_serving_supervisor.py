"""Real child processes in place of vLLM: born, watched, buried."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import ConfigError, EngineError, EngineStartError
from serving.config import EngineConfig
from serving.engines.supervisor import Supervisor
from serving.engines.trust import Trust
from serving.engines.vllm import Launch
from serving.engines.watched import External, Policy

FAST = Policy(
    poll_s=0.05,
    check_s=0.1,
    misses=3,
    backoff_s=0.05,
    backoff_cap_s=0.2,
    quick_deaths=3,
    answer_s=0.3,
    polite_s=0.5,
)

# An engine of ten lines: answers /v1/models, streams one word; what it does wrong is its first argument.
CHILD = textwrap.dedent(
    """
    import http.server, os, signal, subprocess, sys, time
    wrong, port, pids = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    open(pids, "a").write(f"{os.getpid()}\\n")
    print("hello from the engine", flush=True)
    if wrong == "dies": sys.exit("no such model")
    if wrong == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if wrong in ("stubborn", "family"):
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        open(pids, "a").write(f"{grandchild.pid}\\n")
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args): pass
        def do_GET(self):
            if wrong == "hangs" and time.monotonic() > born + 0.5: time.sleep(300)
            body = b'{"data": [{"id": "base"}]}'
            self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
            self.wfile.write(body)
    born = time.monotonic()
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    """
)


class Children:
    """Launches CHILD and knows which processes it has become."""

    def __init__(self, folder: Path) -> None:
        self.pids_file = folder / "pids"
        self.script = folder / "child.py"
        self.script.write_text(CHILD)

    def launcher(self, wrong: str) -> Callable[[EngineConfig, int], Launch]:
        return lambda _, port: Launch((sys.executable, str(self.script), wrong, str(port), str(self.pids_file)), {})

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.pids_file.read_text().split()] if self.pids_file.exists() else []

    def alive(self) -> list[int]:
        return [pid for pid in self.pids if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path)


def supervisor(children: Children, wrong: str, logs: Path) -> Supervisor:
    return Supervisor([EngineConfig(name="base", model="m")], logs, children.launcher(wrong), FAST)


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


async def test_ready_then_gone(children: Children, tmp_path: Path) -> None:
    async with supervisor(children, "nothing", tmp_path) as running:
        assert running.engine("base") is None
        await until(lambda: running.engine("base"))
        assert running.states()[0].state == "ready"
    assert children.alive() == []
    assert "hello from the engine" in (tmp_path / "engine-base.log").read_text()


async def test_what_a_model_is_trusted_with_reaches_its_engine(children: Children, tmp_path: Path) -> None:
    said = {"quote_below": -0.3, "refuse_below": 0.2, "rewrites": False}
    started = EngineConfig(name="base", model="m", **said)
    elsewhere = EngineConfig(name="other", base_url="http://127.0.0.1:9/v1", **said)
    trust = Trust(quote_below=-0.3, refuse_below=0.2, rewrites=False)
    assert External(elsewhere, FAST).engine.trust == trust
    async with Supervisor([started], tmp_path, children.launcher("nothing"), FAST) as running:
        await until(lambda: running.engine("base"))
        assert running.engines["base"].trust == trust


async def test_an_engine_that_dies_is_restarted(children: Children, tmp_path: Path) -> None:
    async with supervisor(children, "nothing", tmp_path) as running:
        await until(lambda: running.engine("base"))
        os.kill(children.pids[0], signal.SIGKILL)
        await until(lambda: running.engine("base") is None)
        await until(lambda: running.engine("base"))
        assert len(children.pids) == 2


async def test_an_engine_that_never_starts_is_given_up_with_its_last_words(children: Children, tmp_path: Path) -> None:
    async with supervisor(children, "dies", tmp_path) as running:
        await until(lambda: running.states()[0].state == "failed")
        detail = running.states()[0].detail
    assert len(children.pids) == FAST.quick_deaths
    assert "exited with code 1" in detail
    assert "no such model" in detail
    assert "engine-base.log" in detail


async def test_an_engine_that_hangs_is_restarted(children: Children, tmp_path: Path) -> None:
    config = EngineConfig(name="base", model="m")
    async with Supervisor([config], tmp_path, children.launcher("hangs"), FAST) as running:
        await until(lambda: running.engine("base"))
        await until(lambda: len(children.pids) >= 2, seconds=60)


async def test_grandchildren_and_the_stubborn_go_too(children: Children, tmp_path: Path) -> None:
    async with supervisor(children, "stubborn", tmp_path) as running:
        await until(lambda: running.engine("base"))
        assert len(children.alive()) == 2
    assert children.alive() == []


async def test_children_die_with_a_gateway_that_is_killed(children: Children, tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from serving.config import EngineConfig
from serving.engines.supervisor import Supervisor
from serving.engines.trust import Trust
from serving.engines.vllm import Launch
async def main():
    command = (sys.executable, {str(children.script)!r}, "family")
    launcher = lambda _, port: Launch((*command, str(port), {str(children.pids_file)!r}), {{}})
    async with Supervisor([EngineConfig(name="base", model="m")], Path({str(tmp_path)!r}), launcher):
        await asyncio.sleep(300)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=Path(__file__).parents[1])
    await until(lambda: len(children.alive()) == 2)
    parent.kill()
    await parent.wait()
    await until(lambda: not children.alive())


async def test_no_vllm_fails_at_once_and_says_how_to_get_it(tmp_path: Path) -> None:
    def launcher(config: EngineConfig, port: int) -> Launch:
        raise EngineStartError("vLLM is not installed: ...")

    async with Supervisor([EngineConfig(name="base", model="m")], tmp_path, launcher, FAST) as running:
        await until(lambda: running.states()[0].state == "failed")
        assert "not installed" in running.states()[0].detail


async def test_an_external_engine_comes_and_goes(children: Children, tmp_path: Path) -> None:
    config = EngineConfig(name="base", base_url="http://127.0.0.1:9/v1")
    async with Supervisor([config], tmp_path, policy=FAST) as running:
        assert running.states()[0].state == "unreachable"
        assert running.engine("base") is None


def test_two_engines_with_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="same name"):
        Supervisor([EngineConfig(model="a"), EngineConfig(model="b")], tmp_path)


def test_an_engine_is_a_model_or_a_url() -> None:
    with pytest.raises(ValueError, match="either model"):
        EngineConfig(model="a", base_url="http://x")
    assert issubclass(EngineStartError, EngineError)
