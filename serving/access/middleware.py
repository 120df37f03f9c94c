"""Who asks, and whether they may: the ASGI middleware in front of everything the gateway serves.

Sets ``request.state.principal`` (serving/principal.py). Keys come as ``Authorization: Bearer KEY``, ``X-API-Key: KEY``
or ``api-key: KEY``, all alike; the chat app and stored pages also take the cookie of the sign-in page. Counts requests
and looks whether tokens are left; the answers at the same time are admission.py's.
"""

from __future__ import annotations

import math
from dataclasses import replace

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import doors
from serving.access.admission import Admission
from serving.access.keyring import Keyring
from serving.access.keys import KeyRecord
from serving.access.limits import Level
from serving.config import ServingConfig
from serving.errors import ApiError, error_response
from serving.principal import ANONYMOUS, LOCAL, Limits, Principal

NO_KEY = (
    "this gateway needs a key, sent as `Authorization: Bearer KEY` (`docduet ask --key KEY`); whoever runs it makes "
    "one with `docduet keys create NAME`"
)
_OPEN_ELSEWHERE = replace(LOCAL, role="staff")
"""Whoever reaches a gateway without keys from elsewhere, or through a proxy: nobody's administrator."""


class Access:
    """Pure ASGI, so that streams pass untouched."""

    def __init__(self, app: ASGIApp, config: ServingConfig, keyring: Keyring, admission: Admission) -> None:
        self.app = app
        self._config = config
        self._keyring = keyring
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            await self._let_in(scope)
            levels = await self._count(scope) if scope["type"] == "http" else {}
        except ApiError as error:
            await _refusal(scope, error)(scope, receive, send)
            return
        await self.app(scope, receive, _with(levels, send) if levels else send)

    async def required(self) -> bool:
        """Whether requests need a key now. ``auto``: where others can reach us, or once a key was made."""
        if self._config.require_keys != "auto":
            return self._config.require_keys == "always"
        return not doors.is_loopback(self._config.host) or await self._keyring.any()

    async def _let_in(self, scope: Scope) -> None:
        """Put the principal into the scope. ApiError 400, 401 or 403."""
        path, headers = scope["path"], scope["headers"]
        door = doors.door(path)
        secret = doors.key_in(headers)
        cookie = doors.cookie_in(headers) if not secret and door in ("app", "page", "open") else ""
        record = await self._keyring.find(secret or cookie)
        principal = self._of(record) if record else await self._without_key(scope, door, bool(secret or cookie))
        if door == "admin" and principal.role != "admin":
            raise ApiError("this needs a key with the role admin", 403, "admins_only")
        if door == "metrics" and principal.role != "admin" and not self._metrics_are_open(scope):
            raise ApiError("metrics need a key with the role admin, or a request from this machine", 403, "admins_only")
        scope.setdefault("state", {})["principal"] = principal
        if cookie and record and door == "app":  # the app passes it on to the API as its user's key
            kept = [pair for pair in headers if pair[0].lower() != b"authorization"]
            scope["headers"] = [*kept, (b"authorization", b"Bearer " + cookie.encode("latin-1"))]

    def _of(self, record: KeyRecord) -> Principal:
        limits = replace(self._admission.of_keys, **record.limits) if record.limits else None
        return Principal(record.name, record.role, record.id, limits)

    async def _without_key(self, scope: Scope, door: doors.Door, given: bool) -> Principal:
        """Who comes without a valid key. ApiError 401 where one is needed; ``given``: one was tried."""
        if not await self.required():
            own = doors.is_loopback(self._config.host) and doors.asks_for_this_machine(scope)
            return LOCAL if own else _OPEN_ELSEWHERE
        if door in ("open", "metrics"):
            return ANONYMOUS
        if given:
            raise ApiError("this key is unknown or revoked: check it, or ask for a new one", 401, "invalid_key")
        raise ApiError(NO_KEY, 401, "missing_key")

    def _metrics_are_open(self, scope: Scope) -> bool:
        setting = self._config.metrics_without_key
        return setting == "always" or (setting == "loopback" and doors.from_here(scope))

    async def _count(self, scope: Scope) -> dict[str, tuple[int, Level]]:
        """Count the request: name -> (limit, level). ApiError 429 when the key has to wait."""
        path, method, principal = scope["path"], scope["method"], scope["state"]["principal"]
        if not doors.counted(path, method):
            return {}
        limits: Limits = self._admission.limits(principal)
        levels: dict[str, tuple[int, Level]] = {}
        if doors.costs_tokens(path, method) and (tokens := await self._admission.tokens(principal)):
            levels["tokens"] = (limits.tokens_per_minute, tokens)
            _check(levels, "tokens")
        if requests := await self._admission.request(principal):
            levels["requests"] = (limits.requests_per_minute, requests)
            _check(levels, "requests")
        return levels


def _check(levels: dict[str, tuple[int, Level]], name: str) -> None:
    limit, level = levels[name]
    if level.allowed:
        return
    message = f"this key may use {limit:,} {name} per minute: wait {math.ceil(level.wait_s)} s"
    headers = {key.decode(): value.decode() for key, value in _headers(levels)}
    raise ApiError(message, 429, "rate_limit_exceeded", retry_after_s=level.wait_s, headers=headers)


def _headers(levels: dict[str, tuple[int, Level]]) -> list[tuple[bytes, bytes]]:
    """OpenAI's x-ratelimit headers."""
    pairs: list[tuple[str, str]] = []
    for name, (limit, level) in levels.items():
        pairs.append((f"x-ratelimit-limit-{name}", str(limit)))
        pairs.append((f"x-ratelimit-remaining-{name}", str(max(0, math.floor(level.left)))))
        pairs.append((f"x-ratelimit-reset-{name}", f"{level.full_s:.3f}s"))
    return [(name.encode(), value.encode()) for name, value in pairs]


def _with(levels: dict[str, tuple[int, Level]], send: Send) -> Send:
    """``send`` that adds the headers to the response."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_headers(levels)]}
        await send(message)

    return sending


def _refusal(scope: Scope, error: ApiError) -> ASGIApp:
    """The error; a browser that opens the chat app or a page is sent to sign in."""
    if scope["type"] == "websocket":
        return _closed
    accepts = b" ".join(value for name, value in scope["headers"] if name.lower() == b"accept")
    opens = scope["method"] == "GET" and b"text/html" in accepts and doors.door(scope["path"]) in ("app", "page")
    response: Response
    if error.status == 401 and opens:
        response = RedirectResponse(doors.sign_in_for(scope), 303, {"Cache-Control": "no-store"})
    else:
        response = error_response(error)
    return response


async def _closed(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1008})
