"""An engine on a real loopback port that does whatever engines do wrong, another thing with each request.

``MISBEHAVIOURS`` maps a name to a script: bytes to send, floats to sleep (seconds), None to cut the connection; or to
an HTTP status. Which one a request meets is drawn from a seeded generator, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

from aiohttp import web

from tests.fake_engine import DONE, USAGE, chunk

FOR_EVER = 3600.0
Script = tuple[bytes | float | None, ...]
ANSWER = (chunk("The port "), chunk("is 7860 [1]."))

MISBEHAVIOURS: dict[str, Script | int] = {
    "none": (*ANSWER, chunk(finish="stop"), USAGE, DONE),
    "slow": (0.3, ANSWER[0], 0.3, ANSWER[1], chunk(finish="stop"), USAGE, DONE),
    "drips for ever": tuple(piece for _ in range(400) for piece in (chunk("a"), 0.2)),
    "says nothing": (FOR_EVER,),
    "hangs before the first piece": (b": still here\n\n", FOR_EVER),
    "hangs in the middle": (ANSWER[0], FOR_EVER),
    "hangs after the end": (*ANSWER, chunk(finish="stop"), USAGE, FOR_EVER),
    "cuts before the first piece": (None,),
    "cuts in the middle": (ANSWER[0], None),
    "cuts in a line": (ANSWER[0], chunk("is 78")[:20], None),
    "closes in the middle": (ANSWER[0],),
    "closes without a word": (),
    "never says why it ended": (*ANSWER, DONE),
    "forgets the end": (*ANSWER, chunk(finish="stop"), USAGE),
    "sends no JSON": (ANSWER[0], b"data: {oops\n\n", DONE),
    "sends a list": (ANSWER[0], b"data: [1, 2]\n\n", DONE),
    "sends null choices": (b'data: {"choices": null}\n\n', *ANSWER, chunk(finish="stop"), USAGE, DONE),
    "sends odd types": (
        b'data: {"choices": [{"delta": {"content": 7}, "index": "x"}]}\n\n',
        chunk(finish="stop"),
        DONE,
    ),
    "sends bytes": (bytes(range(256)) * 8, None),
    "sends an endless line": (b"data: " + b"x" * (2 << 20), b"x" * (2 << 20), FOR_EVER),
    "sends an error object": (ANSWER[0], b'data: {"error": {"message": "out of memory"}}\n\n', DONE),
    "sends keys of its own": (
        b'data: {"event": {"type": "execute", "data": "alert(1)"}, "choices": [{"delta": {"content": "Hi [1]."}}]}\n\n',
        chunk(finish="stop"),
        USAGE,
        DONE,
    ),
    "is asked too much": 429,
    "has a fault": 500,
    "is behind a broken proxy": 502,
    "wants a key": 401,
}


class ChaosEngine:
    """Async context manager; ``url`` ends in /v1 and stays the same through ``stop`` and ``start``."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._deck: list[str] = []
        self.met: Counter[str] = Counter()
        self.open = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> ChaosEngine:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """As if it had been killed: connections under way are cut."""
        await self._runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "chaos"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        name = self._draw()
        self.met[name] += 1
        script = MISBEHAVIOURS[name]
        if isinstance(script, int):
            return self._error(script)
        self.open += 1
        try:
            return await self._play(request, script)
        finally:
            self.open -= 1

    def _draw(self) -> str:
        """As from a deck of cards: each misbehaviour comes equally often."""
        if not self._deck:
            self._deck = list(MISBEHAVIOURS)
            self._random.shuffle(self._deck)
        return self._deck.pop()

    @staticmethod
    def _error(status: int) -> web.Response:
        if status == 502:
            return web.Response(status=502, text="<html><h1>Bad gateway</h1></html>", content_type="text/html")
        said: dict[str, Any] = {"error": {"message": "no", "code": status}}
        return web.Response(status=status, text=json.dumps(said), headers={"Retry-After": "1"})

    @staticmethod
    async def _play(request: web.Request, script: Script) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for step in script:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif step is None:
                assert request.transport
                request.transport.abort()
                break
            else:
                await response.write(step)
        return response
