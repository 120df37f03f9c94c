"""Votes on comparisons, thumbs on answers, and the report of both."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from data.feedback import Feedback, append_feedback
from data.feedback import Turn as Message
from serving.api.stored import choice_as_answered, vote_body
from serving.errors import ApiError
from serving.gateway import gateway_of
from serving.principal import principal_of
from serving.store import judgements as stored
from serving.store.conversations import Turn
from serving.store.judgements import Judgement, Thumb, Winner
from serving.store.tables import Vote

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1", tags=["judgements"])


class VoteIn(BaseModel):
    """POST /v1/votes."""

    answer_id: str = Field(max_length=100)
    winner: Winner
    comment: str = Field("", max_length=10_000)


class FeedbackIn(BaseModel):
    """POST /v1/feedback."""

    answer_id: str = Field(max_length=100)
    choice: int = Field(0, ge=0, le=1000)
    rating: Thumb
    reasons: list[Annotated[str, Field(max_length=200)]] = Field([], max_length=20)
    comment: str = Field("", max_length=10_000)
    should_have_said: str = Field("", max_length=50_000)


@router.post("/votes")
async def vote(body: VoteIn, request: Request) -> dict[str, Any]:
    """Say which side of a comparison is better; tells which arms they were. A blind vote is final."""
    gateway, user = gateway_of(request), principal_of(request).user
    await gateway.recorder.written()
    turn = await gateway.store.run(stored.vote, user, body.answer_id, body.winner, body.comment)
    assert isinstance(turn.vote, Vote)
    public_url = gateway.public_url(request)
    choices = [choice_as_answered(choice, public_url) for choice in turn.choices]
    return {"object": "vote", "answer_id": body.answer_id} | vote_body(turn.vote) | {"choices": choices}


@router.post("/feedback")
async def feedback(body: FeedbackIn, request: Request) -> dict[str, Any]:
    """A thumb on an answer, in place of an earlier one. ``should_have_said`` also goes to the training data."""
    gateway, user = gateway_of(request), principal_of(request).user
    await gateway.recorder.written()
    fields = body.model_dump() | {"reasons": tuple(body.reasons)}
    turn, correction = await gateway.store.run(stored.rate, user, Judgement(**fields))
    if correction:
        try:
            await asyncio.to_thread(append_feedback, gateway.live.home.feedback, _for_training(turn, body))
        except OSError as error:
            log.error("a correction could not be appended to %s: %s", gateway.live.home.feedback, error)
            await gateway.store.run(stored.rate, user, Judgement(**(fields | {"should_have_said": ""})))
            message = f"the thumb is kept, the correction is not: {error.strerror or error}; send it again later"
            raise ApiError(message, 503, "feedback_file") from None
    return {"object": "feedback"} | body.model_dump()


@router.get("/report")
async def report(request: Request) -> dict[str, Any]:
    """Everybody's answers, thumbs and votes, counted by arm and by pair of arms."""
    gateway = gateway_of(request)
    await gateway.recorder.written()
    return {"object": "report"} | await gateway.store.run(stored.report, writes=False)


def _for_training(turn: Turn, body: FeedbackIn) -> Feedback:
    choice = next(choice for choice in turn.choices if choice.index == body.choice)
    answer = turn.answer
    return Feedback(
        question=answer.question,
        answer=choice.text,
        correction=body.should_have_said,
        history=tuple(Message(**message) for message in answer.history),
        sources=tuple(dict.fromkeys(source["url"] for source in choice.sources)),
        lang=answer.lang,
        arm=choice.arm,
        answer_id=answer.id,
        comment=body.comment,
        created_at=answer.asked_at,
    )
