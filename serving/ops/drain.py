"""How the gateway stops: nothing new is begun, answers under way may end, and those that do not are ended properly.

On SIGTERM or Ctrl-C `begin` is called (serving/server.py). From then on new requests get 503 with Retry-After, and
/readyz says why. After `[serving] shutdown_timeout_s` every answer still under way is cut: its stream gets a last chunk
with a finish reason, an error object and [DONE], never a torn connection. Engines are stopped after that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.arms.events import Finished
from serving.errors import ApiError, error_body
from serving.exchange import Choices, Exchange

RETRY_AFTER_S = 10
LAST_WORDS_S = 3.0
"""What a cut answer has to reach its client."""
STILL_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})
STOPPING = "the gateway is shutting down: try again in a moment"


class _Cut(ApiError):
    def __init__(self) -> None:
        super().__init__(STOPPING, 503, "shutting_down", retry_after_s=RETRY_AFTER_S)


class Drain:
    """One a gateway. ``begun``: it is stopping; ``open``: API requests under way."""

    def __init__(self) -> None:
        self.open = 0
        self._begun_at: float | None = None
        self._cut = False
        self._waits: set[asyncio.Task[object]] = set()
        self._cancelled: set[asyncio.Task[object]] = set()

    @property
    def begun(self) -> bool:
        return self._begun_at is not None

    def begin(self) -> None:
        """Stop. Safe in a signal handler."""
        self._begun_at = time.monotonic()

    def over(self, patience_s: float) -> bool:
        """Whether the process may end; asked several times a second once it is stopping, and cuts when it is time."""
        assert self._begun_at is not None
        waited = time.monotonic() - self._begun_at
        if waited >= patience_s and not self._cut:
            self._cut = True
            self._cancelled = set(self._waits)
            for task in self._cancelled:
                task.cancel()
        return not self.open or waited >= patience_s + LAST_WORDS_S

    async def guard(self, exchange: Exchange, choices: Choices) -> Choices:
        """Pass the events on; when the gateway stops, end what has begun and raise ApiError (503)."""
        async with aclosing(choices):
            while not self._cut:
                task = self._wait()
                try:
                    event = await anext(choices)
                except StopAsyncIteration:
                    return
                except asyncio.CancelledError:
                    if not self._cut_off(task):
                        raise
                    break
                finally:
                    self._waits.discard(task)
                yield event
        for index, last in _last_events(exchange):
            yield index, last
        raise _Cut()

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[None]:
        """Around whatever may take long before an answer: ApiError (503) when the gateway stops meanwhile."""
        if self._cut:
            raise _Cut()
        task = self._wait()
        try:
            yield
        except asyncio.CancelledError:
            if not self._cut_off(task):
                raise
            raise _Cut() from None
        finally:
            self._waits.discard(task)

    def _wait(self) -> asyncio.Task[object]:
        """The current task may be cancelled by us until it is taken out of ``_waits``."""
        task = asyncio.current_task()
        assert task
        self._waits.add(task)
        return task

    def _cut_off(self, task: asyncio.Task[object]) -> bool:
        """Whether it was us, and us alone, who cancelled the task; then it goes on."""
        if task not in self._cancelled:
            return False
        self._cancelled.discard(task)
        return task.uncancel() == 0


def _last_events(exchange: Exchange) -> list[tuple[int, Finished]]:
    """How each answer ends that has begun and not ended."""
    arms, ends = exchange.route.arms, []
    for index, answer in exchange.answers.items():
        if answer.started and not (answer.finished or answer.failed):
            sources = tuple(dict.fromkeys(citation.source for citation in answer.citations))
            arm = arms[index] if index < len(arms) else exchange.model  # `auto` speaks for itself too
            ends.append((index, Finished(arm, sources, degraded="shutting down", finish_reason="length")))
    return ends


class DrainGate:
    """ASGI middleware: counts the API's requests, and turns new ones away while the gateway stops."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in STILL_ANSWERED:
            await self.app(scope, receive, send)
        elif self.drain.begun:
            headers = {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"}
            refusal = JSONResponse(error_body(STOPPING, 503, "shutting_down"), 503, headers)
            await refusal(scope, receive, send)
        elif scope["path"].startswith("/v1/"):
            self.drain.open += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.drain.open -= 1
        else:
            await self.app(scope, receive, send)
