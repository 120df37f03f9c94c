"""Minutes of a working day's load on one gateway: does memory stay flat, is anything left open, is every answer kept?

    python benchmarks/soak.py [--minutes 10] [--per-second 20]

20 requests a second for ten minutes are what 400 people ask in a day of 30 questions each. The engine is
benchmarks/fast_engine.py, the docs are the handbook. What is asked is drawn from ``MIX``: streams and whole answers of
both voices, searches, conversations begun, read and deleted, clients that leave in the middle. Read once a minute from
outside: resident memory, open files, sockets, threads; from /metrics: answers under way. At the end everything must be
at rest again; memory is compared with the end of the second minute, since caches fill in the first. Rows are counted
in the database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.gateway import PIDS, docduet, free_port, python, running

MIX = {
    "base stream": 30,
    "base whole": 15,
    "rag stream": 15,
    "rag whole": 5,
    "leave": 10,
    "search": 5,
    "conversation": 10,
    "read": 5,
    "delete": 3,
    "odd": 2,
}
QUESTIONS = (
    "How do I change the port?",
    "Which formats can be synced?",
    "怎么修改端口？",
    "What is an index generation?",
)


class Load:
    """What is asked, and what came of it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.random = random.Random(0)
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.begun = 0
        self.conversations: list[str] = []

    async def one(self) -> None:
        kind = self.random.choices(list(MIX), list(MIX.values()))[0]
        try:
            await self.ask(kind)
            self.done[kind] += 1
        except (aiohttp.ClientError, TimeoutError, KeyError, AssertionError) as error:
            self.failed[f"{kind}: {type(error).__name__} {error}"] += 1

    async def ask(self, kind: str) -> None:
        question = self.random.choice(QUESTIONS)
        voice, _, how = kind.partition(" ")
        match kind:
            case "search":
                await self.post("/v1/search", {"query": question})
            case "conversation":
                answer = await self.chat("base", question, docduet={"conversation": "new"})
                self.begun += 1
                self.conversations.append(answer["docduet"]["conversation"])
            case "read" if self.conversations:
                await self.call("GET", f"/v1/conversations/{self.random.choice(self.conversations)}")
            case "delete" if self.conversations:
                gone = self.conversations.pop(self.random.randrange(len(self.conversations)))
                await self.call("DELETE", f"/v1/conversations/{gone}")
            case "odd":
                await self.post("/v1/chat/completions", {"model": "nobody", "messages": []}, expected=(400, 404))
            case "leave":
                await self.stream("base", question, leave=True)
            case "read" | "delete":
                return
            case _ if how == "stream":
                await self.stream(voice, question)
            case _:
                await self.chat(voice, question)

    async def chat(self, voice: str, question: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.post("/v1/chat/completions", body(voice, question) | more)
        assert answer["choices"][0]["message"]["content"]
        return answer

    async def stream(self, voice: str, question: str, leave: bool = False) -> None:
        asked = body(voice, question) | {"stream": True} | ({"seed": 50} if leave else {})
        async with self.session.post(f"{self.url}/v1/chat/completions", json=asked) as response:
            assert response.status == 200, await response.text()
            last = b""
            async for line in response.content:
                last = line.strip() or last
                if leave and b"content" in line:
                    response.close()
                    return
        assert last == b"data: [DONE]", last

    async def post(self, path: str, asked: dict[str, Any], expected: tuple[int, ...] = (200,)) -> Any:
        return await self.call("POST", path, expected, json=asked)

    async def call(self, method: str, path: str, expected: tuple[int, ...] = (200, 204), **more: Any) -> Any:
        async with self.session.request(method, self.url + path, **more) as response:
            text = await response.text()
            assert response.status in expected, f"{response.status} {text[:200]}"
            return await response.json() if text.startswith(("{", "[")) else None


def body(voice: str, question: str) -> dict[str, Any]:
    return {"model": voice, "messages": [{"role": "user", "content": question}]}


class Gauge:
    """The gateway's process, from outside."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)

    def read(self) -> dict[str, float]:
        open_sockets = [one for one in self.process.net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED]
        return {
            "MB": self.process.memory_info().rss / 1e6,
            "files": self.process.num_fds(),
            "sockets": len(open_sockets),
            "threads": self.process.num_threads(),
        }


def main() -> None:
    """Print a line a minute, then the verdict; exits 1 where something grew or was left."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--per-second", type=float, default=20)
    options = parser.parse_args()
    with ExitStack() as servers, tempfile.TemporaryDirectory(prefix="docduet-soak-") as temp:
        engine = free_port()
        servers.enter_context(running(python("fast_engine.py", "--port", str(engine)), engine, "/v1/models"))
        target = servers.enter_context(docduet(engine, Path(temp, "home")))
        sys.exit(asyncio.run(soak(target.port, Path(temp, "home"), options)))


async def soak(port: int, home: Path, options: argparse.Namespace) -> int:
    gauge, seconds = Gauge(PIDS[port]), options.minutes * 60
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; at rest: {shown(gauge.read())}", flush=True)
    timeout, connector = aiohttp.ClientTimeout(total=60), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        load = Load(session, f"http://127.0.0.1:{port}")
        tasks: set[asyncio.Task[None]] = set()
        began, asked, readings = time.monotonic(), 0, list[dict[str, float]]()
        while (passed := time.monotonic() - began) < seconds:
            if asked < passed * options.per_second:
                task = asyncio.create_task(load.one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                asked += 1
            else:
                await asyncio.sleep(0.005)
            if passed >= 60 * (len(readings) + 1):
                readings.append(gauge.read())
                print(f"{len(readings):3} min: {shown(readings[-1])}, {len(tasks)} under way", flush=True)
        await asyncio.gather(*tasks)
        await asyncio.sleep(5)
        running_now = await streams(session, load.url)
    await asyncio.sleep(8)  # connections that are kept alive are closed by their client
    return verdict(load, readings, gauge.read(), running_now, home)


async def streams(session: aiohttp.ClientSession, url: str) -> float:
    """Answers under way, by the gateway's own account."""
    text = await (await session.get(f"{url}/metrics")).text()
    lines = [line for line in text.splitlines() if line.startswith("docduet_streams")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def verdict(load: Load, readings: list[dict[str, float]], last: dict[str, float], under_way: float, home: Path) -> int:
    print(f"{sum(load.done.values()):,} requests: {dict(load.done)}; failed: {dict(load.failed) or 'none'}")
    print(f"at rest again: {shown(last)}; answers under way: {under_way:g}")
    base = readings[min(1, len(readings) - 1)]["MB"] if readings else last["MB"]
    grown = max(last["MB"], *(reading["MB"] for reading in readings[1:] or [last])) / base - 1
    print(f"memory: {grown:+.1%} beyond the second minute")
    rows = counted(home)
    print(f"rows: {rows}; conversations begun {load.begun}, alive {len(load.conversations)}")
    lost = rows.get("conversations", 0) != len(load.conversations)
    bad = bool(load.failed) or grown > 0.05 or last["sockets"] > 5 or bool(under_way) or lost
    print("something grew or was left" if bad else "flat, nothing left")
    return int(bad)


def counted(home: Path) -> dict[str, int]:
    """Rows of every table."""
    path = home / "docduet.sqlite"
    if not path.exists():
        return {}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def shown(reading: dict[str, float]) -> str:
    return ", ".join(f"{value:,.0f} {name}" for name, value in reading.items())


if __name__ == "__main__":
    main()
