"""A fake OpenAI-compatible engine on a real loopback port, scripted to do everything engines do wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


def chunk(text: str = "", finish: str | None = None, **more: Any) -> bytes:
    """One server-sent chat completion chunk."""
    choice = {"index": 0, "delta": {"content": text, **more}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}\n\n'
DONE = b"data: [DONE]\n\n"
GOOD = (chunk("Hello "), chunk("world"), chunk(finish="stop"), USAGE, DONE)


@dataclass
class FakeEngineServer:
    """``script``: bytes to send, floats to sleep, None to cut the connection. ``status`` other than 200: an error."""

    script: tuple[bytes | float | None, ...] = GOOD
    status: int = 200
    models: tuple[str, ...] = ("served",)
    complaint: str = "too many cooks"
    max_model_len: int | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    disconnected: int = 0
    url: str = ""

    async def __aenter__(self) -> FakeEngineServer:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _models(self, _: web.Request) -> web.Response:
        context = {"max_model_len": self.max_model_len} if self.max_model_len else {}
        return web.json_response({"object": "list", "data": [{"id": name, **context} for name in self.models]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.headers.append(dict(request.headers))
        if self.status != 200:
            return web.json_response({"error": {"message": self.complaint, "code": "x"}}, status=self.status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            async for piece in self._pieces():
                if piece is None:
                    assert request.transport
                    request.transport.abort()
                    return response
                await response.write(piece)
        except (asyncio.CancelledError, ConnectionResetError):
            self.disconnected += 1
            raise
        return response

    async def _pieces(self) -> AsyncIterator[bytes | None]:
        for step in self.script:
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step
