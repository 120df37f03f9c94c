"""Signing in to the chat app with a key: a small page, and a cookie that the browser keeps and no script can read.

The cookie holds the key, so that revoking the key signs everybody out who used it. It counts for the chat app and for
stored pages only, never for the API: what another site makes a browser send has no effect there.
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from serving.access.doors import COOKIE, SIGN_IN, SIGN_OUT, from_another_site
from serving.access.keyring import Keyring
from serving.errors import ApiError
from serving.principal import ANONYMOUS, principal_of

DAYS = 30
MAX_FORM_BYTES = 8192
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_WORDS = {
    "en": {
        "title": "Sign in to DocDuet",
        "key": "Your key",
        "enter": "Sign in",
        "hint": "Whoever runs DocDuet gives you a key. It begins with dd_.",
        "wrong": "This key is unknown or revoked. Check it, or ask for a new one.",
    },
    "zh": {
        "title": "登录 DocDuet",
        "key": "你的密钥",
        "enter": "登录",
        "hint": "请向 DocDuet 的管理员索取密钥，密钥以 dd_ 开头。",
        "wrong": "该密钥不存在或已被吊销。请检查后重试，或索取新的密钥。",
    },
}
_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; font-family: system-ui, "Noto Sans", "PingFang SC", "Microsoft YaHei", sans-serif }}
body {{ display: grid; place-content: center; min-height: 90vh; margin: 0 16px;
  background: light-dark(#faf9f7, #15181a); color: light-dark(#1f2421, #e7eae8) }}
form {{ display: grid; gap: 12px; width: min(360px, 90vw) }}
h1 {{ font-size: 1.3rem; margin: 0 }}
p {{ margin: 0; font-size: .9rem; opacity: .8 }}
.wrong {{ color: light-dark(#a83232, #f09a92); opacity: 1 }}
input, button {{ font: inherit; padding: 10px 12px; border-radius: 10px; border: 1px solid light-dark(#c9c3b9, #4a5157);
  background: light-dark(#fff, #1d2124); color: inherit }}
button {{ background: light-dark(#22655f, #7fc8bf); color: light-dark(#fff, #10201e); border: 0; cursor: pointer }}
</style></head><body><form method="post" action="{action}">
<h1>{title}</h1>{wrong}
<label for="key">{key}</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="next" value="{back}">
<button>{enter}</button>
<p>{hint}</p>
</form></body></html>"""


def router(keyring: Keyring) -> APIRouter:
    """The routes of signing in and out."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(SIGN_IN)
    async def page(request: Request, next: str = "/") -> Response:
        if principal_of(request) is not ANONYMOUS:
            return RedirectResponse(local(next), 303)
        return _page(request, local(next))

    @routes.post(SIGN_IN)
    async def sign_in(request: Request) -> Response:
        _same_site(request)
        form = await _form(request)
        secret, back = form.get("key", "").strip(), local(form.get("next", "/"))
        if await keyring.find(secret) is None:
            return _page(request, back, wrong=True)
        response = RedirectResponse(back, 303, {"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE, secret, DAYS * 86400, path="/", secure=_is_https(request), httponly=True, samesite="lax"
        )
        return response

    @routes.post(SIGN_OUT)
    async def sign_out(request: Request) -> Response:
        _same_site(request)
        response = RedirectResponse(SIGN_IN, 303, {"Cache-Control": "no-store"})
        response.delete_cookie(COOKIE, path="/", secure=_is_https(request), httponly=True, samesite="lax")
        return response

    return routes


def local(target: str) -> str:
    """``target`` where it is a path of this gateway, else "/": a link must not lead elsewhere after signing in."""
    printable = all(0x20 < ord(char) < 0x7F for char in target)
    safe = printable and target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if safe and not urlsplit(target).netloc else "/"


def _page(request: Request, back: str, wrong: bool = False) -> HTMLResponse:
    lang = "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"
    words = {name: escape(word) for name, word in _WORDS[lang].items()}
    words["wrong"] = f'<p class="wrong" role="alert">{words["wrong"]}</p>' if wrong else ""
    html = _PAGE.format(lang=lang, action=SIGN_IN, back=escape(back), **words)
    return HTMLResponse(html, 401 if wrong else 200, _HEADERS)


def _same_site(request: Request) -> None:
    """ApiError 403 where another site makes the browser sign somebody in or out."""
    foreign = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if foreign or from_another_site(request.scope):  # over plain HTTP browsers tell only the origin
        raise ApiError("sign in on DocDuet's own page", 403, "cross_site")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            raise ApiError("the form is too large", 413, "body_too_large")
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _is_https(request: Request) -> bool:
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").split(",")[0].strip())
