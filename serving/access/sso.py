"""Single sign-on in the browser: to the provider, back from it with a session, and out again.

    GET /sign-in/sso        to the provider; what must be remembered meanwhile lies in a cookie for 15 minutes
    GET /sign-in/callback   back: a session and its cookie, or the sign-in page that says in plain words what went wrong

Nothing is kept on the server before the provider has vouched for somebody, so any gateway can take them back.
"""

from __future__ import annotations

import json
import logging
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationError

from data.errors import StoreError
from serving.access import cookies, doors
from serving.access.oidc import FLOW_S, Provider
from serving.access.people import SsoError
from serving.access.sessions import Sessions
from serving.config import ServingConfig
from serving.errors import ApiError

log = logging.getLogger(__name__)

FLOW = "docduet_sso"
NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class _Begun(BaseModel):
    """What Authlib needs again, and nothing of it may be empty: an empty nonce would not be checked."""

    redirect_uri: str
    code_verifier: str = Field(min_length=43)
    nonce: str = Field(min_length=16)


class _Remembered(BaseModel):
    data: _Begun
    exp: float


class Flow(BaseModel):
    """The cookie: sign-ins that were begun, by Authlib's names for them, and where to go in the end."""

    begun: dict[str, _Remembered]
    next: str = "/"


class SingleSignOn:
    """``config``: with a provider in ``oidc``."""

    def __init__(self, config: ServingConfig, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lasts_s = config.oidc.session_hours * 3600
        self._config = config
        self._provider = Provider(config.oidc)

    @property
    def _home(self) -> str:
        return self._config.public_url.rstrip("/")  # which a reload may change

    def router(self) -> APIRouter:
        """The routes to the provider and back."""
        routes = APIRouter(include_in_schema=False)
        routes.get(doors.SSO_START)(self.start)
        routes.get(doors.SSO_END)(self.arrive)
        return routes

    async def start(self, request: Request, next: str = "/") -> Response:
        """To the provider."""
        back, request.scope["session"] = doors.local(next), {}
        try:
            address = await self._provider.begin(request, self._home + doors.SSO_END)
        except Exception as error:
            return _back_to_the_page(request, error, back)
        response = RedirectResponse(address, 303, NO_STORE)
        cookies.keep(response, request, _packed(request.session, back), FLOW_S, FLOW)
        return response

    async def arrive(self, request: Request) -> Response:
        """Back from the provider. What was begun counts once, whatever comes of it."""
        flow = _unpacked(cookies.held(request, FLOW))
        back = doors.local(flow.next)
        request.scope["session"] = {name: entry.model_dump() for name, entry in flow.begun.items()}
        try:
            arrival = await self._provider.end(request)
            with suppress(StoreError):
                await self._sessions.end(doors.cookie_in(request.scope))  # of whoever sat here before
            token = await self._sessions.begin(arrival.person, self._lasts_s, arrival.id_token)
        except Exception as error:
            return _back_to_the_page(request, error, back)
        log.info("%s signed in, role %s", arrival.person.user, arrival.person.role)
        response = RedirectResponse(back, 303, NO_STORE)
        cookies.keep(response, request, token, self._lasts_s)
        cookies.drop(response, request, FLOW)
        return response

    async def sign_out(self, token: str) -> str:
        """End the session that ``token`` is; where to go to sign out at the provider too, "" for nowhere."""
        try:
            record = await self._sessions.find(token)
            if record is None:
                return ""
            await self._sessions.end(token)
            return await self._provider.sign_out(record.id_token, self._home + doors.SIGN_IN)
        except (SsoError, StoreError, ApiError) as error:  # the browser forgets its cookie all the same
            log.warning("somebody is signed out in their browser only: %s", _line(error))
            return ""


def _back_to_the_page(request: Request, error: Exception, back: str) -> Response:
    """The sign-in page with what to say, and the way ``back`` for another try; never a trace, nor what others said."""
    problem = error.problem if isinstance(error, SsoError) else "failed"
    if isinstance(error, (SsoError, StoreError)):
        log.warning("a sign-in failed (%s): %s", problem, _line(error))
    else:
        log.error("a sign-in failed", exc_info=error)
    response = RedirectResponse(doors.sign_in_page(back, problem=problem), 303, NO_STORE)
    cookies.drop(response, request, FLOW)
    return response


def _line(error: Exception) -> str:
    """A message for the log in one line: it may quote the provider."""
    return "".join(char if char.isprintable() else " " for char in str(error))[:500]


def _packed(session: dict[str, Any], back: str) -> str:
    kept = ("redirect_uri", "code_verifier", "nonce")
    begun = {
        name: {"data": {key: entry["data"][key] for key in kept}, "exp": entry["exp"]}
        for name, entry in session.items()
    }
    return urlsafe_b64encode(json.dumps({"begun": begun, "next": back}).encode()).decode().rstrip("=")


def _unpacked(cookie: str) -> Flow:
    """What was begun and has not run out; nothing for a cookie that is not ours."""
    try:
        flow = Flow.model_validate_json(urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))
    except (ValidationError, ValueError):
        return Flow(begun={})
    return Flow(begun={name: entry for name, entry in flow.begun.items() if entry.exp > time.time()}, next=flow.next)
