"""An engine that does everything wrong, against the real `docduet serve`: every request ends well, and in time.

Well means: a complete answer, the quoting fallback, or a clear error. In time: within the deadline that the
configuration sets. Nothing hangs, nothing spins, nothing is left open.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from serving.server import answers
from tests.chaos_engine import MISBEHAVIOURS, ChaosEngine

REQUESTS = 26 * 24  # each misbehaviour is met some twenty times
AT_ONCE = 24
ANSWER_TIMEOUT_S = 4.0
DEADLINE_S = ANSWER_TIMEOUT_S + 16.0  # slack for a machine that is busy with other tests

CONFIG = """
[serving]
answer_timeout_s = {timeout}
[[serving.engines]]
name = "base"
base_url = "{url}"
first_timeout_s = 1.5
idle_timeout_s = 1.0
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("chaos"))
    build_index(
        [Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n")], home, RagConfig()
    )
    return home


class Gateway:
    """`docduet serve` as a process."""

    def __init__(self, home: Home, engine_url: str) -> None:
        (home.root / "docduet.toml").write_text(CONFIG.format(timeout=ANSWER_TIMEOUT_S, url=engine_url))
        self.log = home.root / "gateway.log"
        env = os.environ | {"DOCDUET_HOME": str(home.root), "PYTHONPATH": str(Path(__file__).parents[1])}
        with self.log.open("wb") as sink:
            argv = [sys.executable, "-m", "docduet", "serve", "--no-ui", "--port", str(_free_port())]
            self.url = f"http://127.0.0.1:{argv[-1]}"
            self.process = subprocess.Popen(argv, cwd=home.root, env=env, stdout=sink, stderr=sink)
        self.watched = psutil.Process(self.process.pid)

    def wait(self) -> None:
        deadline = time.monotonic() + 90
        while not answers(self.url):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the gateway did not start"
            time.sleep(0.2)

    def connections(self) -> int:
        return sum(1 for one in self.watched.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED)


def _free_port() -> int:
    from serving.engines.watched import free_port

    return free_port()


def judged(status: int, body: str, stream: bool) -> str:
    """What came of a request: "answered", "degraded", "error"; anything else is a fault, with what was wrong."""
    if status != 200:
        error = json.loads(body)["error"]
        return (
            "error"
            if error["message"] and error["code"] and status in (429, 502, 503, 504)
            else f"odd {status}: {body}"
        )
    if not stream:
        choice = json.loads(body)["choices"][0]
        if not choice["message"]["content"]:
            return "empty answer"
        return "degraded" if choice["docduet"]["degraded"] else "answered"
    lines = [line.removeprefix("data: ") for line in body.split("\n") if line.startswith("data: ")]
    if not lines or lines.pop() != "[DONE]":
        return f"a stream without its end: {body[-200:]}"
    chunks = [json.loads(line) for line in lines]
    if any(chunk.get("event", {}).get("type") not in (None, "source") for chunk in chunks):
        return "the engine's own keys got through"
    if "error" in chunks[-1]:
        return "error"
    last = chunks[-1]["choices"][0]
    if not last["finish_reason"]:
        return "an answer without its end"
    return "degraded" if last["docduet"]["degraded"] else "answered"


async def ask(session: aiohttp.ClientSession, url: str, number: int) -> tuple[str, float]:
    """One request, its outcome and how long it took (seconds)."""
    stream, model = bool(number % 2), ("rag", "base")[number // 2 % 2]
    question = [{"role": "user", "content": f"Which port does the gateway listen on by default? ({number})"}]
    body: dict[str, Any] = {"model": model, "stream": stream, "messages": question}
    began = time.monotonic()
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            outcome = judged(response.status, await response.text(), stream)
    except (TimeoutError, aiohttp.ClientError, ValueError, KeyError, IndexError) as error:
        outcome = f"{type(error).__name__}: {error}"
    return outcome, time.monotonic() - began


async def restarts(engine: ChaosEngine, finished: asyncio.Event) -> int:
    """Kill the engine and start it again, until the requests are through; how often."""
    count = 0
    while not finished.is_set():
        await asyncio.sleep(3)
        await engine.stop()
        await asyncio.sleep(0.5)
        await engine.start()
        count += 1
    return count


@pytest.fixture
def processes() -> Iterator[list[Gateway]]:
    started: list[Gateway] = []
    yield started
    for gateway in started:
        gateway.process.kill()
        gateway.process.wait()


async def test_every_request_ends_well_and_in_time(home: Home, processes: list[Gateway]) -> None:
    async with ChaosEngine() as engine:
        gateway = Gateway(home, engine.url)
        processes.append(gateway)
        await asyncio.to_thread(gateway.wait)
        found: list[tuple[str, float]] = []
        finished, numbers = asyncio.Event(), iter(range(REQUESTS))

        async def client(session: aiohttp.ClientSession) -> None:
            for number in numbers:
                found.append(await ask(session, gateway.url, number))

        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            killer = asyncio.create_task(restarts(engine, finished))
            await asyncio.gather(*(client(session) for _ in range(AT_ONCE)))
            finished.set()
            killed = await killer
            metrics = await (await session.get(f"{gateway.url}/metrics")).text()

        outcomes = Counter(outcome for outcome, _ in found)
        slowest = max(seconds for _, seconds in found)
        print(f"{dict(outcomes)}; slowest {slowest:.1f} s; engine killed {killed} times; {dict(engine.met)}")
        assert set(outcomes) <= {"answered", "degraded", "error"}, outcomes
        assert all(outcomes[outcome] > REQUESTS / 20 for outcome in ("answered", "degraded", "error")), outcomes
        assert slowest < DEADLINE_S
        assert set(engine.met) == set(MISBEHAVIOURS)
        assert killed >= 2
        assert tokens(metrics) >= 2 * outcomes["answered"]
        await at_rest(gateway, engine)


def tokens(metrics: str) -> float:
    """Completion tokens, all arms together."""
    lines = [line for line in metrics.splitlines() if line.startswith("docduet_tokens_total") and "completion" in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def at_rest(gateway: Gateway, engine: ChaosEngine) -> None:
    """Afterwards no stream is open towards the engine, none towards a client, and the process does not spin."""
    for _ in range(60):
        if not engine.open and gateway.connections() <= 3:
            break
        await asyncio.sleep(0.5)
    assert engine.open == 0
    assert gateway.connections() <= 3  # kept alive for the next check of the engine
    before = sum(gateway.watched.cpu_times()[:2])
    await asyncio.sleep(3)
    assert sum(gateway.watched.cpu_times()[:2]) - before < 1.0
    assert "Traceback" not in gateway.log.read_text()
