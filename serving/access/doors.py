"""Which paths ask for what. Pure.

What nobody has thought of is guarded, and what is under /v1 or /pages is counted, unless it stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

from starlette.types import Scope

from serving.errors import ApiError

Door = Literal["open", "metrics", "admin", "api", "page", "app"]

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
SSO_START, SSO_END, WHO = f"{SIGN_IN}/sso", f"{SIGN_IN}/callback", f"{SIGN_IN}/who"
COOKIE = "docduet_key"
MAX_BACK = 2500
"""Characters of an address to come back to after signing in: single sign-on keeps it in a cookie, of at most 4,096."""
_OPEN = ("/healthz", "/readyz", SIGN_IN, SIGN_OUT, SSO_START, SSO_END, WHO)
_FREE = ("/v1/models", "/v1/labels", "/v1/me", "/v1/openapi.json", "/v1/admin")
_EXPORT = re.compile(r"/v1/conversations/[^/]+/export")
_NO_TOKENS = ("/v1/search", "/v1/votes", "/v1/feedback", "/v1/conversations", "/v1/report", "/v1/admin")


@lru_cache(128)
def door(path: str) -> Door:
    """What a path asks for. ``page``: a stored page, or a file that the chat app links to; ``app``: the chat app,
    which has all that is left over."""
    if path in _OPEN:
        return "open"
    if path == "/metrics":
        return "metrics"
    if _under(path, ("/v1/admin",)):
        return "admin"
    if _EXPORT.fullmatch(path):
        return "page"
    if _under(path, ("/v1",)):
        return "api"
    return "page" if _under(path, ("/pages",)) else "app"


@lru_cache(128)
def counted(path: str, method: str) -> bool:
    """Whether a request is one of those per minute: stored pages, and the API but what clients find their way by and
    administrators watch."""
    return _under(path, ("/v1", "/pages")) and not (method in ("GET", "HEAD", "OPTIONS") and _under(path, _FREE))


@lru_cache(128)
def costs_tokens(path: str, method: str) -> bool:
    """Whether tokens must be left for a request: whatever may be an answer."""
    return method == "POST" and counted(path, method) and not _under(path, _NO_TOKENS)


def key_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The key that a request carries, "" for none. Every form is the same; ApiError 400 for two keys in one request."""
    found = {secret for name, value in headers if (secret := _secret(name.lower(), value.decode("latin-1")))}
    if len(found) > 1:
        raise ApiError("the request carries two different keys: send one", 400, "two_keys")
    return found.pop() if found else ""


def cookie_in(scope: Scope) -> str:
    """What the cookie of the chat app holds, a key or the token of a session; "" for none."""
    wanted = cookie_name(scope)
    for name, value in scope["headers"]:
        for part in value.decode("latin-1").split(";") if name.lower() == b"cookie" else ():
            key, _, secret = part.strip().partition("=")
            if key == wanted:
                return secret.strip('"')
    return ""


def cookie_name(scope: Scope, name: str = COOKIE) -> str:
    """A cookie's name. Over HTTPS browsers take one called __Host- from this very host only, not from a neighbour."""
    return f"__Host-{name}" if is_https(scope) else name


def is_https(scope: Scope) -> bool:
    """Whether the browser asked by HTTPS, itself or through a proxy that says so."""
    told = _header(scope, b"x-forwarded-proto").split(",")[0].strip()
    return "https" in (scope.get("scheme"), told) or scope.get("scheme") == "wss"


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine only. A name such as 127.example.com may point anywhere."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def asks_for_this_machine(scope: Scope) -> bool:
    """Whether a request names this machine as its host: no proxy passed it on, and no web site whose name was pointed
    here (DNS rebinding) sends it."""
    host = _header(scope, b"host")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name) and not _passed_on(scope)


def from_here(scope: Scope) -> bool:
    """Whether a request comes from this machine and was not passed on by a proxy."""
    client = scope.get("client")
    return bool(client and is_loopback(client[0])) and not _passed_on(scope)


def from_another_site(scope: Scope, ours: Iterable[str] = ()) -> bool:
    """Whether a web page of another site makes a browser send this. ``ours``: origins that are not another's.

    A proxy may change the host that the browser asked for; it says so in a header, which no page can add unasked.
    """
    origin = _header(scope, b"origin")
    if not origin or "*" in ours or origin in ours or _passed_on(scope):
        return False
    return origin == "null" or urlsplit(origin).netloc.lower() != _header(scope, b"host").lower()


def from_another_page(scope: Scope) -> bool:
    """Whether a page that is not of this very origin makes a browser send this.

    To cookies, another port of this host and a neighbour's name are the same site. The browser itself says more; over
    plain HTTP from afar it tells only the origin.
    """
    told = _header(scope, b"sec-fetch-site")
    return told not in ("", "same-origin", "none") or from_another_site(scope)


def is_link(scope: Scope) -> bool:
    """Whether it may be somebody who follows a link: scripts that read the answer and forms that send something name
    their origin."""
    return not _header(scope, b"origin")


def local(target: str) -> str:
    """``target`` where it is a path of this gateway, else "/": a link must not lead elsewhere after signing in.

    Of one that is too long, the path alone: the page, without the passage to be shown on it."""
    if len(target) > MAX_BACK:
        path = target.partition("#")[0].partition("?")[0]  # urlsplit raises ValueError for some
        return local(path) if len(path) <= MAX_BACK else "/"
    printable = all(0x20 < ord(char) < 0x7F for char in target)
    safe = printable and target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if safe and not urlsplit(target).netloc else "/"


def sign_in_for(scope: Scope) -> str:
    """Where to sign in, and come back."""
    query = scope["query_string"].decode("latin-1")
    return sign_in_page(scope["path"] + (f"?{query}" if query else ""))


def sign_in_page(back: str, **more: str) -> str:
    """The sign-in page's address, to come ``back`` from it; ``more``: of its query."""
    query = more if back == "/" else more | {"next": back}
    return SIGN_IN + (f"?{urlencode(query, quote_via=quote, safe='')}" if query else "")


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), "")


def _passed_on(scope: Scope) -> bool:
    return any(name.lower() in (b"x-forwarded-for", b"forwarded", b"x-real-ip") for name, _ in scope["headers"])


def _secret(name: bytes, value: str) -> str:
    if name in (b"x-api-key", b"api-key"):
        return value.strip()
    if name == b"authorization":
        scheme, _, secret = value.strip().partition(" ")
        return secret.strip() if scheme.lower() == "bearer" else ""
    return ""


def _under(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
