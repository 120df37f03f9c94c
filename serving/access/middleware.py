"""Who asks, and whether they may: the ASGI middleware in front of everything the gateway serves.

Sets ``request.state.principal`` (serving/principal.py). Keys come as ``Authorization: Bearer KEY``, ``X-API-Key: KEY``
or ``api-key: KEY``, all alike, and so do the tokens of single sign-on's sessions; the chat app and stored pages also
take the cookie of the sign-in page. Counts requests and looks whether tokens are left; the answers at the same time are
admission.py's.
"""

from __future__ import annotations

import math
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import doors
from serving.access.admission import Admission
from serving.access.keyring import Keyring
from serving.access.limits import Level
from serving.access.sessions import Sessions, looks_like_one
from serving.config import ServingConfig
from serving.errors import ApiError, error_response
from serving.principal import ANONYMOUS, LOCAL, Limits, Principal

BAD_KEY = "this key is unknown or revoked: check it, or ask whoever runs this gateway for a new one"
NO_KEY = (
    "this gateway needs a key, sent as `Authorization: Bearer KEY` (`docduet ask --key KEY`); whoever runs it makes "
    "one with `docduet keys create NAME`"
)
ENDED = "your sign-in has ended: sign in again"
ELSEWHERE = "elsewhere"
"""What the chat app says as a key for those who reach a gateway without keys from elsewhere: it asks on this machine,
and must not be taken for somebody who is here. Whoever says it can only lose by it."""
_OPEN_ELSEWHERE = Principal("elsewhere", "staff")
"""Whoever reaches a gateway without keys from elsewhere, or through a proxy: nobody's administrator, and not the one
whose conversations are kept on this machine."""


class Access:
    """Pure ASGI, so that streams pass untouched."""

    def __init__(
        self, app: ASGIApp, config: ServingConfig, keyring: Keyring, sessions: Sessions, admission: Admission
    ) -> None:
        self.app = app
        self._config = config
        self._keyring = keyring
        self._sessions = sessions
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
        more = _headers(levels)
        if scope["path"] == "/" and scope["state"]["principal"].key_id:
            more.append((b"cache-control", b"no-store"))  # "back" must not show it to whoever comes next
        await self.app(scope, receive, _with(more, send) if more else send)

    async def required(self) -> bool:
        """Whether requests need a key now. ``auto``: where others can reach us, where there is single sign-on, or once
        a key was made."""
        if self._config.require_keys != "auto":
            return self._config.require_keys == "always"
        if self._config.oidc.issuer:
            return True
        return not doors.is_loopback(self._config.host) or await self._keyring.any()

    async def _let_in(self, scope: Scope) -> None:
        """Put the principal into the scope. ApiError 400, 401 or 403."""
        path = scope["path"]
        door = doors.door(path)
        key = doors.key_in(scope["headers"])
        cookie = doors.cookie_in(scope) if not key and door in ("app", "page", "open") else ""
        principal = await self._known(key or cookie) or await self._without_key(scope, door, key or cookie)
        if cookie and door != "open" and doors.from_another_page(scope) and not doors.is_link(scope):
            raise ApiError("web pages of other sites may not use this sign-in", 403, "cross_site")
        if door == "admin" and principal.role != "admin":
            raise ApiError("this needs a key with the role admin", 403, "admins_only")
        if door == "metrics" and principal.role != "admin" and not self._metrics_are_open(scope):
            raise ApiError("metrics need a key with the role admin, or a request from this machine", 403, "admins_only")
        scope.setdefault("state", {})["principal"] = principal
        if door == "app":  # which asks the API as its user
            if principal is _OPEN_ELSEWHERE:
                _pass_on(scope, ELSEWHERE)
            elif cookie and principal.key_id:
                _pass_on(scope, cookie)

    async def _known(self, secret: str) -> Principal | None:
        """Whose key or session it is; None when it is none that counts."""
        if looks_like_one(secret):
            session = await self._sessions.find(secret)
            return Principal(session.owner, session.role, session.owner, name=session.name) if session else None
        record = await self._keyring.find(secret)
        if record is None:
            return None
        limits = replace(self._admission.of_keys, **record.limits) if record.limits else None
        return Principal(record.name, record.role, record.id, limits, record.name)

    async def _without_key(self, scope: Scope, door: doors.Door, given: str) -> Principal:
        """Who comes without a valid key. ApiError 401 where one is needed; ``given``: what was tried as one."""
        if not await self.required():
            if doors.from_another_site(scope, _ours(self._config)):
                message = "web pages of other sites may not use this gateway: name theirs in [serving] cors_origins"
                raise ApiError(message, 403, "cross_site")
            own = doors.is_loopback(self._config.host) and doors.asks_for_this_machine(scope)
            return LOCAL if own and given != ELSEWHERE else _OPEN_ELSEWHERE
        if door in ("open", "metrics"):
            return ANONYMOUS
        if looks_like_one(given):
            raise ApiError(ENDED, 401, "session_ended")
        if given:
            raise ApiError(BAD_KEY, 401, "invalid_key")
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


def _pass_on(scope: Scope, secret: str) -> None:
    """Let the app find ``secret`` as the request's key."""
    kept = [pair for pair in scope["headers"] if pair[0].lower() != b"authorization"]
    scope["headers"] = [*kept, (b"authorization", b"Bearer " + secret.encode("latin-1"))]


def _ours(config: ServingConfig) -> tuple[str, ...]:
    """Origins whose pages may use a gateway that asks for no keys, beside its own."""
    public = urlsplit(config.public_url)
    return (*config.cors_origins, f"{public.scheme}://{public.netloc}")


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


def _with(more: list[tuple[bytes, bytes]], send: Send) -> Send:
    """``send`` that sets headers of the response."""
    named = {name for name, _ in more}

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in named]
            message = {**message, "headers": [*kept, *more]}
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
