"""Cookies of signing in: no script reads them, no other site's form sends them, HTTPS alone carries them if it can."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from serving.access.doors import COOKIE, cookie_name, is_https


def keep(response: Response, request: Request, value: str, seconds: float, name: str = COOKIE) -> None:
    """Let the browser keep ``value`` for so long."""
    response.set_cookie(cookie_name(request.scope, name), value, max(1, int(seconds)), **_as_all(request))


def drop(response: Response, request: Request, name: str = COOKIE) -> None:
    """Let the browser forget it."""
    response.delete_cookie(cookie_name(request.scope, name), **_as_all(request))


def held(request: Request, name: str) -> str:
    """What the browser has kept, "" for nothing."""
    return request.cookies.get(cookie_name(request.scope, name), "")


def _as_all(request: Request) -> dict[str, Any]:
    return {"path": "/", "secure": is_https(request.scope), "httponly": True, "samesite": "lax"}
