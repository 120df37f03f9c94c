"""Conversations over HTTP: what the list beside the chat asks the gateway for.

Every function raises GatewayError; RequestError with status 404 for a conversation that is gone or somebody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from ui.client import Gateway

PAGE = 30


@dataclass(frozen=True)
class Entry:
    """A conversation in the list. ``updated_at``: when its last question came (Unix seconds)."""

    id: str
    title: str
    updated_at: float


@dataclass(frozen=True)
class Page:
    """A part of the list, the last used first. ``next``: where the next part begins, "" at the end."""

    entries: tuple[Entry, ...] = ()
    next: str = ""


async def listed(gateway: Gateway, query: str = "", after: str = "") -> Page:
    """The conversations that mention ``query``, from ``after`` (the ``next`` of the page before) on."""
    asked = urlencode({"limit": PAGE, "q": query, "after": after})
    body = await gateway.request_json("GET", f"/v1/conversations?{asked}")
    entries = tuple(Entry(str(e["id"]), str(e["title"]), float(e["updated_at"])) for e in body.get("data") or [])
    return Page(entries, str(body.get("next") or ""))


async def read(gateway: Gateway, id: str) -> dict[str, Any]:
    """A conversation with its turns, as the API gives it (ui/conversations/stored.py)."""
    return await gateway.request_json("GET", _path(id))


async def rename(gateway: Gateway, id: str, title: str) -> None:
    """Give it another title."""
    await gateway.request_json("PATCH", _path(id), {"title": title})


async def delete(gateway: Gateway, id: str) -> None:
    """Delete it with all that was said in it."""
    await gateway.request_json("DELETE", _path(id))


def export_href(id: str) -> str:
    """Where the browser downloads it as Markdown."""
    return f"{_path(id)}/export"


def _path(id: str) -> str:
    return f"/v1/conversations/{quote(id, safe='')}"
