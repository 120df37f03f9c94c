"""The HTTP request that is being answered, for whoever logs, counts or asks an engine on its behalf.

A context variable: every task that works for a request sees its own. Imports nothing of DocDuet's, so that every layer
may use it.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass
class CurrentRequest:
    """``id``: what the client sent as X-Request-ID, or one of ours. ``exchanges``: what it made the gateway answer.
    ``scope``: the ASGI scope that its route worked on; empty where it reached none."""

    id: str
    exchanges: list[Any] = field(default_factory=list)
    scope: Any = field(default_factory=dict)


_current: ContextVar[CurrentRequest | None] = ContextVar("docduet_request", default=None)


def begin(sent: str) -> CurrentRequest:
    """From now on, and in every task started from here, this request is the current one."""
    request = CurrentRequest(sent if _SANE.fullmatch(sent) else f"req_{secrets.token_hex(12)}")
    _current.set(request)
    return request


def request_id() -> str:
    """The current request's id, "" outside any."""
    request = _current.get()
    return request.id if request else ""


def request_header() -> dict[str, str]:
    """What tells an engine which request it works for."""
    found = request_id()
    return {HEADER: found} if found else {}


def see(scope: Any) -> None:
    """The current request has reached the routes, with this scope."""
    request = _current.get()
    if request:
        request.scope = scope


def remember(exchange: Any) -> None:
    """What is logged of the current request comes from this exchange too."""
    request = _current.get()
    if request:
        request.exchanges.append(exchange)
