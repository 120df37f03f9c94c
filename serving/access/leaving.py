"""A client that goes away stops the work for it: the request's task is cancelled, streaming or not, waiting or not.

ASGI tells of a disconnect only to those who ask, and a route that computes does not ask; so somebody listens beside it.
Cancelling closes the engine's stream, which closes the connection to the engine, which stops there.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class CancelWhenGone:
    """ASGI middleware for POST requests to /v1."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        await _Watched(self.app, receive, send).run(scope)


class _Watched:
    """One request. Its body is read as the application asks for it; from then on what comes is the disconnect."""

    def __init__(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        self._app = app
        self._receive = receive
        self._send = send
        self._task = asyncio.current_task()
        self._watch: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._answered = self._cancelled = False

    async def run(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._read, self._write)
        except asyncio.CancelledError:
            if not self._cancelled or self._task is None:
                raise
            self._task.uncancel()
        finally:
            if self._watch:
                self._watch.cancel()

    async def _read(self) -> Message:
        if self._watch is None:
            message = await self._receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                self._watch = asyncio.create_task(self._watching())
            return message
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _write(self, message: Message) -> None:
        self._answered = message["type"] == "http.response.body" and not message.get("more_body")
        await self._send(message)

    async def _watching(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        if not self._answered and self._task:
            self._cancelled = True
            self._task.cancel()
