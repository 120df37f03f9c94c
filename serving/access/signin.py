"""Signing in to the chat app and out of it: a small page, and a cookie that the browser keeps and no script can read.

The cookie holds a key, so that revoking the key signs everybody out who used it, or the token of a session that single
sign-on began (sso.py). It counts for the chat app and for stored pages only, never for the API: what another site makes
a browser send has no effect there.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from serving.access import cookies, doors
from serving.access.doors import SIGN_IN, SIGN_OUT, SSO_START, local
from serving.access.keyring import Keyring
from serving.access.page import HEADERS, page_html
from serving.access.sso import SingleSignOn
from serving.config import OidcConfig
from serving.errors import ApiError
from serving.principal import ANONYMOUS, principal_of

DAYS = 30
MAX_FORM_BYTES = 8192
_NO_STORE = {"Cache-Control": "no-store"}


def router(keyring: Keyring, oidc: OidcConfig, sso: SingleSignOn | None = None) -> APIRouter:
    """The routes of signing in and out. ``sso``: where ``oidc`` names a provider."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(SIGN_IN)
    async def page(request: Request, next: str = "/", problem: str = "", state: str = "", key: str = "") -> Response:
        if principal_of(request) is not ANONYMOUS:
            return RedirectResponse(local(next), 303, _NO_STORE)
        said = problem or ("signed_out" if state == "signed-out" else "")
        # By its script, since a redirect would lose what stands behind the "#" of the address.
        return _page(request, local(next), said, go=oidc.direct and not (said or key))

    @routes.post(SIGN_IN)
    async def sign_in(request: Request) -> Response:
        _same_site(request)
        form = await _form(request)
        secret, back = form.get("key", "").strip(), local(form.get("next", "/"))
        if await keyring.find(secret) is None:
            return _page(request, back, "wrong", 401)
        response = RedirectResponse(back, 303, _NO_STORE)
        cookies.keep(response, request, secret, DAYS * 86400)
        return response

    @routes.post(SIGN_OUT)
    async def sign_out(request: Request) -> Response:
        _same_site(request)
        elsewhere = await sso.sign_out(doors.cookie_in(request.scope)) if sso else ""
        response = RedirectResponse(elsewhere or f"{SIGN_IN}?state=signed-out", 303, _NO_STORE)
        cookies.drop(response, request)
        return response

    @routes.get(doors.WHO)
    async def who(request: Request) -> Response:
        """Who this browser is now, for a page that was opened a while ago; "" for nobody."""
        return JSONResponse({"user": principal_of(request).user}, headers=_NO_STORE)

    def _page(request: Request, back: str, said: str = "", status: int = 200, go: bool = False) -> HTMLResponse:
        spoken = request.headers.get("accept-language", "")
        html = page_html(spoken, SIGN_IN, back, said, SSO_START if sso else None, oidc.name, go)
        return HTMLResponse(html, status, HEADERS)

    return routes


def _same_site(request: Request) -> None:
    """ApiError 403 where another site makes the browser sign somebody in or out."""
    if doors.from_another_page(request.scope):
        raise ApiError("sign in on DocDuet's own page", 403, "cross_site")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise ApiError("the form is too large", 413, "body_too_large")
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
