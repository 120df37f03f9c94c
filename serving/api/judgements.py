"""Votes on comparisons. Thumbs: feedback.py; the report of both: report.py."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from serving.api.stored import choice_as_answered, vote_body
from serving.gateway import gateway_of
from serving.principal import principal_of
from serving.store import judgements as stored
from serving.store.judgements import Winner
from serving.store.tables import Vote

router = APIRouter(prefix="/v1", tags=["judgements"])


class VoteIn(BaseModel):
    """POST /v1/votes."""

    answer_id: str = Field(max_length=100)
    winner: Winner
    comment: str = Field("", max_length=10_000)


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
