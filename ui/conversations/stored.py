"""A conversation as the gateway keeps it, as the turns that the page shows. Pure.

A stored choice is read like a streamed one (ui/events.py), so that both look the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from data.types import Filters
from ui.events import Event, Failure, Started, Text, Thinking, finished
from ui.feedback.opinion import with_stored
from ui.sides.client import vote_of
from ui.turns import Turn, after, stopped, with_local_links

PATIENCE_S = 180.0
"""A turn without an end that is younger than this may still be under way: longer than a gateway lets an answer take."""

INTERRUPTED = Failure("Nothing of the answer was kept. Ask again.", "interrupted")


def turns_of(body: dict[str, Any], gateway_url: str, now: float) -> list[Turn]:
    """The turns of a conversation (``GET /v1/conversations/{id}``). ``now``: Unix seconds."""
    return [turn_of(turn, str(body["id"]), gateway_url, now) for turn in body.get("turns") or []]


def turn_of(body: dict[str, Any], conversation: str, gateway_url: str, now: float) -> Turn:
    """One question with what came of it."""
    answer_id, known = str(body["answer_id"]), body.get("filters") or {}
    filters = Filters(*(str(known.get(name) or "") for name in ("product", "version", "lang")))
    turn = Turn(answer_id, str(body["question"]), str(body["model"]), filters=filters)
    for event in _events(body, conversation):
        turn = after(turn, with_local_links(event, gateway_url))
    turn = replace(turn, vote=vote_of(body.get("vote")))
    return with_stored(_ended(turn, body, now), body.get("feedback") or [])


def _events(body: dict[str, Any], conversation: str) -> Iterator[Event]:
    route = body.get("route") or {}
    yield Started(
        answer_id=str(body["answer_id"]),
        reason=str(route.get("reason") or ""),
        query=str(route.get("query") or ""),
        rewritten=bool(route.get("rewritten")),
        scores=route.get("scores") or {},
        blind=bool(body.get("blind")),
        conversation=conversation,
    )
    for choice in _choices(body):
        index, message = int(choice["index"]), choice.get("message") or {}
        if thinking := message.get("reasoning"):
            yield Thinking(str(thinking), index)
        if text := message.get("content"):
            yield Text(str(text), index)
        yield finished(choice.get("docduet") or {}, choice.get("finish_reason") or "", index)


def _ended(turn: Turn, body: dict[str, Any], now: float) -> Turn:
    """``turn`` as it was left: a choice that was cut off has an end of its own in the store, which is none."""
    cut = {int(choice["index"]) for choice in _choices(body) if not choice.get("finish_reason")}
    if cut or not body.get("choices"):
        open_ = [
            replace(reply, state="writing") if i in cut or not body["choices"] else reply
            for i, reply in enumerate(turn.replies)
        ]
        turn = replace(turn, replies=tuple(open_))
    if not turn.running:
        return turn
    if body.get("state") == "unfinished":
        young = now - float(body.get("created") or 0) < PATIENCE_S
        return turn if young else after(turn, INTERRUPTED)
    error = body.get("error") or {}
    return after(turn, Failure(str(error.get("message")), str(error.get("code")))) if error else stopped(turn)


def _choices(body: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return body.get("choices") or []
