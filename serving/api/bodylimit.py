"""Refuse request bodies over a size before they are read into memory, those that do not come to their end, and such as
hold what is no text."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from types import MappingProxyType

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import ApiError, error_body

APP_FACTOR = 4
"""The chat app's requests carry a conversation as it is shown, which is several times what is asked of the API."""
NONE: Mapping[str, int] = MappingProxyType({})
HALF = re.compile(rb"\\u[dD]|\xed[\xa0-\xbf]")
"""Half of a surrogate pair: its escape, which may stand beside the other half, or bytes that are not in UTF-8."""


class BodyLimit:
    """ASGI middleware: 413 by Content-Length or, where there is none, once too much has come in; 408 when the
    body has not come within ``timeout_s``. ``of_path``: other limits for some paths.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float, of_path: Mapping[str, int] = NONE) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self._of_path = of_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        usual = self.max_bytes if scope["path"].startswith("/v1/") else APP_FACTOR * self.max_bytes
        most = self._of_path.get(scope["path"], usual)
        too_large = f"the request body is larger than {most / 1e6:g} MB"
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            refusal = JSONResponse(error_body(too_large, 413, "body_too_large"), 413)
            await refusal(scope, receive, send)
            return
        seen, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self.timeout_s

        async def counted() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                slow = f"the request body has not come within {self.timeout_s:g} s"
                raise HTTPException(408, slow, {"Connection": "close"}) from None
            seen += len(message.get("body", b""))
            whole = not message.get("more_body")
            if seen > most:
                raise HTTPException(413, too_large)  # the one exception FastAPI lets through while it reads
            return message

        await self.app(scope, counted, send)


async def whole_characters(request: Request) -> None:
    """A dependency of all routes: JSON can hold half a character ("\\ud83d", or its bytes), which no answer could
    repeat."""
    if request.method not in ("POST", "PUT", "PATCH") or not HALF.search(await request.body()):
        return
    try:
        json.dumps(await request.json(), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = "the body holds half of a character (a lone surrogate such as \\ud83d): send whole characters"
        raise ApiError(message, 400, "invalid_json") from None
    except (ValueError, RecursionError):
        return  # no JSON: the route says so
