"""Conversations: list, search, read, rename, delete, export. Everybody sees only their own."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, field_validator

from data.corrections import Key, key_of, load
from data.errors import ConfigError
from data.feedback import Feedback
from serving.api.export import as_markdown
from serving.api.stored import conversation_body, turn_body
from serving.errors import ApiError
from serving.gateway import Gateway, gateway_of
from serving.principal import principal_of
from serving.store import conversations as stored
from serving.store.conversations import Turn
from serving.store.snapshot import clean
from serving.store.tables import Conversation

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/conversations", tags=["conversations"])


class Renamed(BaseModel):
    """PATCH /v1/conversations/{id}."""

    title: str = Field(min_length=1, max_length=200)

    @field_validator("title")
    @classmethod
    def _in_one_line(cls, value: str) -> str:
        line = " ".join(value.split())
        if not line:
            raise ValueError("the title is blank")
        return line


@router.get("")
async def listing(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str, Query(max_length=200)] = "",
    q: Annotated[str, Query(max_length=1000)] = "",
) -> dict[str, Any]:
    """One's own conversations, newest first.

    ``q``: words of the title, a question or an answer. ``after``: the ``next`` of the page before.
    """
    gateway, user = gateway_of(request), principal_of(request).user
    await gateway.recorder.written()
    found = await gateway.store.run(stored.listed, user, limit + 1, q, _cursor(after), writes=False)
    page, more = found[:limit], len(found) > limit
    data = [conversation_body(conversation) for conversation in page]
    return {"object": "list", "data": data, "has_more": more, "next": _after(page[-1]) if more else None}


@router.post("")
async def create(request: Request, body: Renamed | None = None) -> dict[str, Any]:
    """An empty conversation, to be named in ``docduet.conversation``. (``"new"`` there makes one as well.)"""
    user = principal_of(request).user
    fresh = stored.new(f"conv_{secrets.token_hex(12)}", user, body.title if body else "")
    shown = conversation_body(fresh)
    await gateway_of(request).store.run(lambda db: db.add(fresh))
    return shown


@router.delete("")
async def delete_all(request: Request) -> dict[str, Any]:
    """Delete all that one has asked, in conversations or not."""
    gateway = gateway_of(request)
    await gateway.recorder.written()
    gone = await gateway.store.run(stored.remove_all, principal_of(request).user)
    return {"object": "conversation.deleted", "deleted": True, "conversations": gone}


@router.get("/{id}")
async def read(id: str, request: Request) -> dict[str, Any]:
    """One conversation with all its turns: questions, answers, citations and sources as they were given."""
    gateway = gateway_of(request)
    await gateway.recorder.written()
    found, turns = await gateway.store.run(stored.turns, principal_of(request).user, id, writes=False)
    public_url, known = gateway.public_url(request), await _corrections(gateway, turns)
    return conversation_body(found) | {"turns": [turn_body(turn, public_url, known) for turn in turns]}


@router.patch("/{id}")
async def rename(id: str, body: Renamed, request: Request) -> dict[str, Any]:
    """Give it another title."""
    user = principal_of(request).user
    return conversation_body(await gateway_of(request).store.run(stored.rename, user, id, body.title))


@router.delete("/{id}")
async def delete(id: str, request: Request) -> dict[str, Any]:
    """Delete it with all that was said in it; votes and thumbs stay as bare counts."""
    gateway = gateway_of(request)
    await gateway.recorder.written()
    await gateway.store.run(stored.remove, principal_of(request).user, id)
    return {"id": id, "object": "conversation.deleted", "deleted": True}


@router.get("/{id}/export", response_model=None)
async def export(id: str, request: Request, format: Literal["markdown", "json"] = "markdown") -> Response:
    """A file to keep: Markdown with the sources as footnotes, or the JSON of the conversation."""
    gateway = gateway_of(request)
    await gateway.recorder.written()
    found, turns = await gateway.store.run(stored.turns, principal_of(request).user, id, writes=False)
    public_url = gateway.public_url(request)
    if format == "json":
        body = conversation_body(found) | {"turns": [turn_body(turn, public_url) for turn in turns]}
        return JSONResponse(body, headers=_attachment(found, "json"))
    text = as_markdown(found, turns, public_url)
    return Response(text, media_type="text/markdown; charset=utf-8", headers=_attachment(found, "md"))


async def _corrections(gateway: Gateway, turns: Sequence[Turn]) -> dict[Key, Feedback]:
    """What feedback.jsonl says of these turns; a conversation is shown whether or not the file can be read."""
    if not any(rating.should_have_said for turn in turns for rating in turn.ratings):
        return {}
    try:
        found = await asyncio.to_thread(load, gateway.live.home.feedback)
    except (OSError, ConfigError) as error:
        log.warning("%s: %s", gateway.live.home.feedback, error)
        return {}
    return {key_of(entry): entry for entry in found}


def _attachment(conversation: Conversation, suffix: str) -> dict[str, str]:
    name = quote(f"{conversation.title or conversation.id}.{suffix}".replace("/", "-"), safe="")
    return {"Content-Disposition": f"attachment; filename=\"{conversation.id}.{suffix}\"; filename*=UTF-8''{name}"}


def _after(last: Conversation) -> str:
    return f"{last.updated_at!r}_{last.id}"


def _cursor(after: str) -> tuple[float, str] | None:
    if not after:
        return None
    moment, _, id = after.partition("_")
    try:
        updated_at = float(moment)
    except ValueError:
        updated_at = math.nan
    if not id or not math.isfinite(updated_at):
        raise ApiError("after: give the `next` of the page before", 400, "invalid_request", "after")
    return updated_at, clean(id)
