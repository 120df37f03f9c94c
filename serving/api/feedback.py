"""Thumbs on answers, with reasons and a correction; corrections go to feedback.jsonl (data/corrections.py).

The database keeps the thumb and its words. The file keeps the corrections and what was decided about them: it is what
`docduet sft build` and `docduet eval` read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from data import corrections
from data.errors import ConfigError, CorrectionNotFoundError
from data.feedback import Feedback
from data.feedback import Turn as Message
from serving.api.stored import correction_body
from serving.errors import ApiError
from serving.gateway import Gateway, gateway_of
from serving.principal import Principal, principal_of
from serving.store import conversations
from serving.store import judgements as stored
from serving.store.conversations import Turn
from serving.store.judgements import Judgement, Thumb

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/feedback", tags=["judgements"])
T = TypeVar("T")


class FeedbackIn(BaseModel):
    """POST /v1/feedback. ``pages``: urls of the pages that answer the question; None: those under the answer."""

    answer_id: str = Field(max_length=100)
    choice: int = Field(0, ge=0, le=1000)
    rating: Thumb
    reasons: list[Annotated[str, Field(max_length=200)]] = Field([], max_length=20)
    comment: str = Field("", max_length=10_000)
    should_have_said: str = Field("", max_length=50_000)
    pages: list[Annotated[str, Field(max_length=2000)]] | None = Field(None, max_length=50)


class ChoiceIn(BaseModel):
    """Which choice of an answer is meant."""

    choice: int = Field(0, ge=0, le=1000)


@router.post("")
async def give(body: FeedbackIn, request: Request) -> dict[str, Any]:
    """A thumb on an answer, in place of an earlier one. ``should_have_said`` is a correction; left out, it takes an
    earlier one back."""
    gateway, principal = gateway_of(request), principal_of(request)
    await gateway.recorder.written()
    return await asyncio.shield(_give(body, gateway, principal))  # else who leaves in between keeps the thumb only


async def _give(body: FeedbackIn, gateway: Gateway, principal: Principal) -> dict[str, Any]:
    fields = body.model_dump(exclude={"pages"}) | {"reasons": tuple(body.reasons)}
    turn, before = await gateway.store.run(stored.rate, principal.user, Judgement(**fields))
    correction = None
    if before or body.should_have_said.strip():
        said = _line(turn, body)
        try:
            path = gateway.live.home.feedback
            correction = await asyncio.to_thread(corrections.correct, path, said, principal.role == "admin")
        except (OSError, ConfigError) as error:
            await gateway.store.run(stored.rate, principal.user, Judgement(**(fields | {"should_have_said": before})))
            raise _unwritten(gateway, error, "the thumb is kept, the correction is not") from None
    return {"object": "feedback"} | body.model_dump(exclude={"pages"}) | {"correction": correction_body(correction)}


@router.delete("/{answer_id}")
async def take_back(
    answer_id: str, request: Request, choice: Annotated[int, Query(ge=0, le=1000)] = 0
) -> dict[str, Any]:
    """Take thumb, words and correction back."""
    gateway, user = gateway_of(request), principal_of(request).user
    await gateway.recorder.written()
    await gateway.store.run(conversations.turn, user, answer_id, writes=False)
    withdrawn = partial(corrections.take_back, gateway.live.home.feedback, (answer_id, choice))
    await _filed(gateway, withdrawn, "nothing was taken back")
    await gateway.store.run(stored.unrate, user, answer_id, choice)
    return {"object": "feedback.deleted", "answer_id": answer_id, "choice": choice, "deleted": True}


@router.post("/{answer_id}/promote")
async def promote(answer_id: str, request: Request, body: ChoiceIn | None = None) -> dict[str, Any]:
    """Use one's own correction for training or evaluation. An administrator's is used at once, anybody else's once an
    administrator says so."""
    gateway, principal = gateway_of(request), principal_of(request)
    await gateway.recorder.written()
    await gateway.store.run(conversations.turn, principal.user, answer_id, writes=False)
    key = answer_id, body.choice if body else 0
    decide = partial(corrections.proposal, by_admin=principal.role == "admin")
    made = await reviewed(gateway, key, decide)
    found = correction_body(made)
    assert found is not None
    return {"object": "feedback.correction", "answer_id": key[0], "choice": key[1]} | found


async def reviewed(gateway: Gateway, key: corrections.Key, decide: Callable[[Feedback], Any]) -> Feedback:
    """Write down what ``decide`` says of a correction. ApiError 404 (there is none), 503."""
    decided = partial(corrections.review, gateway.live.home.feedback, [key], decide)
    try:
        (made,) = await _filed(gateway, decided, "nothing was decided")
    except CorrectionNotFoundError as error:
        raise ApiError(str(error), 404, "correction_not_found", "answer_id") from None
    return made


async def _filed(gateway: Gateway, work: Callable[[], T], failed: str) -> T:
    try:
        return await asyncio.to_thread(work)
    except (OSError, ConfigError) as error:
        raise _unwritten(gateway, error, failed) from None


def _unwritten(gateway: Gateway, error: Exception, what: str) -> ApiError:
    log.error("feedback could not be written to %s: %s", gateway.live.home.feedback, error)
    reason = (error.strerror if isinstance(error, OSError) else "") or "feedback.jsonl is not readable"
    return ApiError(f"{what}: {reason}; send it again later", 503, "feedback_file")


def _line(turn: Turn, body: FeedbackIn) -> Feedback:
    choice = stored.chosen(turn, body.choice)
    answer = turn.answer
    return Feedback(
        question=answer.question,
        answer=choice.text,
        correction=body.should_have_said.strip(),
        history=tuple(Message(**message) for message in answer.history),
        sources=tuple(dict.fromkeys(source["url"] for source in choice.sources)),
        lang=answer.lang,
        arm=choice.arm,
        answer_id=answer.id,
        choice=body.choice,
        comment=body.comment,
        pages=None if body.pages is None else tuple(body.pages),
        created_at=answer.asked_at,
    )
