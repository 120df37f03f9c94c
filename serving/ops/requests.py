"""ASGI middleware around everything: a request's id, its line in the log, its count and its trace.

The line names the route's template, never the path or the query: those can hold what somebody asked or quoted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import unforeseen
from serving.exchange import Exchange
from serving.ops import current, tracing
from serving.principal import Principal

if TYPE_CHECKING:
    from serving.gateway import Gateway

log = logging.getLogger(__name__)

UI = "ui"
NO_RESPONSE = 499
QUIET = frozenset({"/healthz", "/readyz", "/metrics", UI})
"""Routes that are asked all the time: their lines are of level DEBUG."""


class Innermost:
    """Closest to the routes: notes the scope that they work on, which middleware between may have copied."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        current.see(scope)
        await self.app(scope, receive, send)


class Requests:
    """Outermost of the gateway's middleware. Pure ASGI, so that streams pass as they come."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self.app = app
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request, watched = current.begin(headers.get(current.HEADER, "")), _Watched(receive, send)
        watched.request_id = request.id
        with tracing.server_span(scope["method"], headers) as span:
            try:
                await self.app(scope, watched.receive, watched.send)
            except Exception as error:
                if watched.status != NO_RESPONSE:  # it has begun, and can only be broken off
                    raise
                await unforeseen(scope["method"], error)(scope, receive, watched.send)
            finally:
                route = route_of(request.scope)
                span.ended(scope["method"], route, watched.status)
                self._note({**scope, **request.scope}, route, watched, request.exchanges)

    def _note(self, scope: Scope, route: str, watched: _Watched, exchanges: list[Exchange]) -> None:
        self.gateway.metrics.requests.labels(route, str(watched.status)).inc()
        level = logging.WARNING if watched.status >= 500 else logging.DEBUG if route in QUIET else logging.INFO
        if not log.isEnabledFor(level):
            return
        fields = _asker(scope) | said(exchanges, self.gateway.config.log_texts)
        fields |= {"method": scope["method"], "route": route, "status": watched.status, "ms": watched.milliseconds}
        if watched.left:
            fields["cancelled"] = True
        summary = f"{scope['method']} {route} {watched.status} {watched.milliseconds:.0f} ms"
        log.log(level, summary, extra={"fields": fields})


class _Watched:
    """Looks on while a response is sent. ``status`` NO_RESPONSE: the client left before there was one."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._begun = time.perf_counter()
        self._complete = False
        self.request_id = ""
        self.status = NO_RESPONSE
        self.left = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.left = self.left or (message["type"] == "http.disconnect" and not self._complete)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[current.HEADER] = self.request_id
        elif message["type"] == "http.response.body":
            self._complete = not message.get("more_body", False)
        await self._send(message)

    @property
    def milliseconds(self) -> float:
        return round((time.perf_counter() - self._begun) * 1000, 1)


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as `/v1/models/{name}`; `ui` for the chat app, `refused` where
    none was reached."""
    if not scope:
        return "refused"
    if "app_root_path" in scope:  # set where a mounted app was entered
        return UI
    return str(getattr(scope.get("route"), "path", "unmatched"))


def said(exchanges: Iterable[Exchange], texts: bool) -> dict[str, Any]:
    """What is logged of the answers: counts and words of ours; the texts themselves only where they are asked for."""
    fields: dict[str, Any] = {}
    for exchange in exchanges:
        answers = [exchange.answers[index] for index in sorted(exchange.answers)]
        finished = [answer.finished for answer in answers if answer.finished]
        degraded = ",".join(event.degraded.partition(":")[0] for event in finished if event.degraded)
        fields |= {
            "answer_id": exchange.id,
            "arm": ",".join(exchange.route.arms),
            "prompt_tokens": exchange.usage["prompt_tokens"],
            "completion_tokens": exchange.usage["completion_tokens"],
            "refused": any(event.refused for event in finished),
            "degraded": degraded,
            "error": type(exchange.error).__name__ if exchange.error else "",
            "cancelled": exchange.cancelled,
        }
        if texts:
            fields |= {"question": exchange.turn.question, "answer": "\n---\n".join(answer.text for answer in answers)}
    return fields


def _asker(scope: Scope) -> dict[str, str]:
    principal: Principal | None = scope.get("state", {}).get("principal")
    return {"user": principal.user, "key": principal.key_id} if principal else {}
