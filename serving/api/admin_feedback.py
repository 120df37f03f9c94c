"""The admin routes of feedback, /v1/admin/feedback: look through corrections, promote them or turn them down."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from data import corrections
from data.errors import ConfigError
from data.feedback import Feedback, Review
from serving.api import admin_schemas as out
from serving.api.admin import admin_only
from serving.api.feedback import ChoiceIn, reviewed
from serving.api.stored import text_alone
from serving.errors import ApiError
from serving.gateway import Gateway, gateway_of
from serving.store import conversations
from serving.store.snapshot import answer_of
from serving.store.tables import Choice

_ERRORS: dict[int | str, dict[str, object]] = {code: {"model": out.ErrorOut} for code in (403, 404, 409, 503)}
router = APIRouter(prefix="/v1/admin/feedback", tags=["admin"], dependencies=[Depends(admin_only)], responses=_ERRORS)


class DecisionIn(ChoiceIn):
    """``version``: of the correction that was read; "": whatever it says now."""

    version: str = Field("", max_length=100, description="As listed: 409 where the correction has changed since.")


@router.get("", response_model=out.CorrectionsOut)
async def listing(
    request: Request,
    review: Annotated[Review | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str, Query(max_length=200, description="The `next` of the page before.")] = "",
) -> dict[str, object]:
    """Corrected answers, those asked last first, whoever corrected them."""
    try:
        found = await asyncio.to_thread(corrections.load, gateway_of(request).live.home.feedback)
    except (OSError, ConfigError) as error:
        raise ApiError(str(error), 503, "feedback_file") from None
    start = _cursor(after)
    wanted = [entry for entry in found if entry.answer_id and review in (None, entry.review)]
    ordered = sorted(wanted, key=_place, reverse=True)
    left = [entry for entry in ordered if start is None or _place(entry) < start]
    page = left[:limit]
    more = _after(page[-1]) if len(left) > limit else None
    data = await _bodies(gateway_of(request), page)
    return {"data": data, "has_more": more is not None, "next": more, "counts": corrections.counts(found)}


@router.post("/{answer_id}/promote", response_model=out.CorrectionOut)
async def promote(answer_id: str, request: Request, body: DecisionIn | None = None) -> dict[str, object]:
    """Use a correction: for training, or as an evaluation question, as ``use`` says."""
    return await _decided(answer_id, request, body, "promoted")


@router.post("/{answer_id}/reject", response_model=out.CorrectionOut)
async def reject(answer_id: str, request: Request, body: DecisionIn | None = None) -> dict[str, object]:
    """Do not use a correction, until its author changes it."""
    return await _decided(answer_id, request, body, "rejected")


async def _decided(answer_id: str, request: Request, body: DecisionIn | None, decision: Review) -> dict[str, object]:
    gateway, wanted = gateway_of(request), body or DecisionIn(choice=0, version="")

    def decide(entry: Feedback) -> Review:
        if wanted.version not in ("", corrections.version_of(entry)):
            message = (
                "this correction has been changed since it was listed: list it again, and decide about what it says"
            )
            raise ApiError(message, 409, "correction_changed", "version")
        return decision

    (shown,) = await _bodies(gateway, [await reviewed(gateway, (answer_id, wanted.choice), decide)])
    return shown


async def _bodies(gateway: Gateway, entries: Sequence[Feedback]) -> list[dict[str, object]]:
    ids = [entry.answer_id for entry in entries]
    untold = await gateway.store.run(conversations.untold, ids, writes=False) if ids else {}
    return [_body(_blind(entry, untold.get(corrections.key_of(entry)))) for entry in entries]


def _blind(entry: Feedback, untold: Choice | None) -> Feedback:
    """Without what tells the voice, while a vote on it is awaited: it may be an administrator's own."""
    if untold is None:
        return entry
    return entry.model_copy(update={"answer": text_alone(answer_of(untold)), "arm": "", "sources": ()})


def _body(entry: Feedback) -> dict[str, object]:
    shown = entry.model_dump(exclude={"history", "withdrawn", "created_at", "pages"})
    pages = entry.sources if entry.pages is None else entry.pages
    turns = len(entry.history)
    told = {"use": corrections.use_of(entry), "version": corrections.version_of(entry), "asked_at": entry.created_at}
    return shown | {"pages": pages, "earlier": turns} | told


Place = tuple[float, str, int]


def _place(entry: Feedback) -> Place:
    """Where a correction stands in the list; it stays there, whatever is decided meanwhile."""
    return entry.created_at, entry.answer_id, entry.choice


def _after(entry: Feedback) -> str:
    return f"{entry.created_at!r}:{entry.choice}:{entry.answer_id}"


def _cursor(after: str) -> Place | None:
    if not after:
        return None
    try:
        moment, choice, id = after.split(":", 2)
        found = float(moment), id, int(choice)
    except ValueError:
        found = math.nan, "", 0
    if not math.isfinite(found[0]):
        raise ApiError("after: give the `next` of the page before", 400, "invalid_request", "after")
    return found
