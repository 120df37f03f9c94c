"""The client of benchmarks/gateway.py: one request ready-made, sent as fast as possible or at a fixed rate.

The same for everybody who is measured, and so lean (uvloop, httptools, no JSON) that it does not hide what they take.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

ALLOWANCE_S = 120.0
_SPENT = re.compile(rb'"(?:rewrite|retrieve|translate)":([\d.]+)')


@dataclass(frozen=True)
class Target:
    """Who is asked. ``model``: the name to ask for; ``headers``: what else goes with every request."""

    name: str
    port: int
    model: str
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, stream: bool, question: str, pace_ms: int = 0) -> bytes:
        """The bytes of a whole request. ``pace_ms``: between two pieces of the engine's stream."""
        body: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": question}]}
        body |= {"max_tokens": 64, "stream": stream} | ({"seed": pace_ms} if pace_ms else {})
        raw = json.dumps(body).encode()
        lines = [f"Host: 127.0.0.1:{self.port}", "Content-Type: application/json", f"Content-Length: {len(raw)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join(["POST /v1/chat/completions HTTP/1.1", *lines, "", ""])
        return head.encode() + raw


@dataclass(frozen=True)
class Reply:
    """Milliseconds to the first byte of the body and to its end; ``searched``: what the search says it took;
    ``pieces``: of text, as they came to the client."""

    first: float
    total: float
    searched: float
    pieces: int
    ok: bool


class Connection(asyncio.Protocol):
    """A connection that asks one thing at a time. Implements httptools' callbacks."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none

    async def ask(self, request: bytes, since: float | None = None) -> Reply:
        """``since``: when the request was due, where that is earlier than now."""
        assert self.transport
        self.parser = httptools.HttpResponseParser(self)
        self.body: list[bytes] = []
        self.first = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        started = since or time.perf_counter()
        self.transport.write(request)
        await self.done
        ended, body = time.perf_counter(), b"".join(self.body)
        ok = (
            self.parser.get_status_code() == 200
            and (b"[DONE]" in body or b'"usage"' in body)
            and b'"error"' not in body
        )
        searched = sum(float(spent) for spent in _SPENT.findall(body[-6000:]))
        return Reply((self.first - started) * 1000, (ended - started) * 1000, searched, body.count(b'"content":'), ok)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.first = self.first or time.perf_counter()
        self.body.append(body)

    def on_message_complete(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if hasattr(self, "done") and not self.done.done():
            self.done.set_exception(error or ConnectionResetError("closed before the end"))


class Client:
    """Connections to one target, kept for the next request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def ask(self, request: bytes, since: float | None = None) -> Reply | None:
        """None: no whole answer."""
        try:
            async with asyncio.timeout(ALLOWANCE_S):
                connection = await self._connection()
                reply = await connection.ask(request, since)
        except (OSError, TimeoutError):
            return None
        self._idle.append(connection)
        return reply if reply.ok else None

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self._port))[1]

    def close(self) -> None:
        for connection in self._idle:
            if connection.transport:
                connection.transport.close()


async def closed_loop(target: Target, request: bytes, at_once: int, seconds: float) -> tuple[list[Reply | None], float]:
    """``at_once`` clients that ask again as soon as they have their answer; the replies and the seconds it took."""
    client, replies, started = Client(target.port), list[Reply | None](), time.perf_counter()

    async def worker() -> None:
        while time.perf_counter() - started < seconds:
            replies.append(await client.ask(request))

    await asyncio.gather(*(worker() for _ in range(at_once)))
    taken = time.perf_counter() - started
    client.close()
    return replies, taken


async def open_loop(target: Target, request: bytes, rate: float, seconds: float) -> list[Reply | None]:
    """A request every 1/``rate`` seconds, whether or not the one before is answered; timed from when it was due."""
    client, tasks, started = Client(target.port), list[asyncio.Task[Reply | None]](), time.perf_counter()
    for number in range(int(rate * seconds)):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(client.ask(request, due)))
    replies = await asyncio.gather(*tasks)
    client.close()
    return list(replies)


async def all_at_once(target: Target, request: bytes, count: int) -> list[Reply | None]:
    """``count`` requests begun within a second, each held to its end."""
    client = Client(target.port)

    async def later(number: int) -> Reply | None:
        await asyncio.sleep(number / count)
        return await client.ask(request)

    replies = await asyncio.gather(*(later(number) for number in range(count)))
    client.close()
    return list(replies)
