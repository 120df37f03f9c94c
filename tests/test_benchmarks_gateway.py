"""The engine and the client of benchmarks/gateway.py: what they count is what was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from benchmarks.fast_engine import WORDS, FastEngine
from benchmarks.load import Target, all_at_once, closed_loop, open_loop
from serving.engines.engine import Engine

PIECES = 8


@asynccontextmanager
async def listening(protocol: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_every_answer_is_whole_and_counted() -> None:
    async with listening(lambda: FastEngine(PIECES)) as port:
        target = Target("direct", port, "base")
        streamed = await open_loop(target, target.request(True, "?"), rate=100, seconds=0.1)
        assert [reply.pieces for reply in streamed if reply] == [PIECES + 1] * 10
        replies, _ = await closed_loop(target, target.request(False, "?"), at_once=2, seconds=0.05)
        assert replies
        assert all(reply and 0 < reply.first <= reply.total for reply in replies)


async def test_a_pace_holds_streams_open() -> None:
    async with listening(lambda: FastEngine(PIECES)) as port:
        target = Target("direct", port, "base")
        replies = await all_at_once(target, target.request(True, "?", pace_ms=20), count=20)
    assert all(reply and reply.total >= 20 * PIECES for reply in replies)


async def test_what_breaks_off_is_a_failure() -> None:
    class Broken(FastEngine):
        def stream(self, head: bytes, start: int) -> None:
            self.transport.write(self.head + self.say[0])
            self.transport.close()

    async with listening(lambda: Broken(PIECES)) as port:
        target = Target("direct", port, "base")
        assert await open_loop(target, target.request(True, "?"), rate=100, seconds=0.03) == [None] * 3


async def test_an_engine_is_asked_again_over_the_same_connection() -> None:
    made = []

    def protocol() -> FastEngine:
        made.append(FastEngine(PIECES))
        return made[-1]

    async with listening(protocol) as port:
        engine = Engine("base", f"http://127.0.0.1:{port}/v1", model="base")
        for _ in range(3):
            said = "".join([delta.text async for delta in engine.chat([], seed=1)])
            assert said == "".join(WORDS[n % len(WORDS)] for n in range(PIECES))
        await engine.aclose()
    assert len(made) == 1
