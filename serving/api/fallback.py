"""What is left of /v1 when no route fits: errors in OpenAI's shape, also where another app is mounted at "/"; and HEAD.

Include the router after all others.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import ApiError

router = APIRouter(prefix="/v1")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_INSTEAD = {
    "completions": "text completions are not served: send messages to POST /v1/chat/completions",
    "embeddings": "embeddings are not served: POST /v1/search gives the passages that fit a question",
}


@router.api_route("/{rest:path}", methods=_METHODS, include_in_schema=False)
async def nothing_here(rest: str, request: Request) -> None:
    """404, or 405 where the path is known with another method."""
    allowed = {method for route in request.app.routes for method in _other_methods(route, request.scope)}
    if allowed:
        message = f"{request.method} is not allowed on /v1/{rest}: use {' or '.join(sorted(allowed))}"
        raise ApiError(message, 405, "method_not_allowed")
    message = _INSTEAD.get(rest, f"there is no /v1/{rest}: see /v1/openapi.json for what there is")
    raise ApiError(message, 404, "not_found")


def _other_methods(route: object, scope: Scope) -> set[str]:
    match, _ = route.matches(scope)  # type: ignore[attr-defined]
    return set(getattr(route, "methods", None) or ()) if match is Match.PARTIAL else set()


class HeadAsGet:
    """ASGI middleware: HEAD is answered as GET is, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def headers_only(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, headers_only)
