"""Votes on comparisons and thumbs on answers.

Functions of a session (``Store.run``); only the owner of an answer judges it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete
from sqlalchemy.orm import Session

from serving.errors import ApiError
from serving.store import conversations
from serving.store.conversations import Turn
from serving.store.facts import facts_of
from serving.store.snapshot import clean
from serving.store.tables import Choice, Rating, Vote

Winner = Literal["0", "1", "tie", "both_bad"]
Thumb = Literal["up", "down"]


@dataclass(frozen=True)
class Judgement:
    """A thumb on choice ``choice`` of an answer, as its owner gave it."""

    answer_id: str
    choice: int
    rating: Thumb
    reasons: tuple[str, ...] = ()
    comment: str = ""
    should_have_said: str = ""


def vote(db: Session, owner: str, answer_id: str, winner: Winner, comment: str) -> Turn:
    """Say which of two choices is better; the turn with its vote.

    A vote may be changed, but for a blind one: after it the arms are known. ApiError 404 (no such answer), 400 (not two
    whole answers) or 409 (a blind vote has been cast).
    """
    turn = conversations.turn(db, owner, answer_id, lock=True)
    if len(turn.choices) != 2 or not turn.votable:
        message = "only two whole answers side by side can be voted on: ask with the model 'compare'"
        raise ApiError(message, 400, "not_a_comparison", "answer_id")
    if turn.vote and turn.vote.blind:
        raise ApiError("this blind vote has been cast, and its voices are known: it stays", 409, "already_voted")
    arms = [choice.arm for choice in turn.choices]
    row = Vote(
        answer_id=turn.answer.id,
        owner=owner,
        arms=arms,
        winner=winner,
        blind=turn.answer.blind,
        comment=clean(comment),
        created_at=time.time(),
        **facts_of(turn.answer, turn.choices),
    )
    return Turn(turn.answer, turn.choices, db.merge(row), turn.ratings)


def rate(db: Session, owner: str, judgement: Judgement) -> tuple[Turn, str]:
    """Keep a thumb in place of an earlier one: the turn before it, and what it was said then that it should have said.

    ApiError 404 (no such answer) or 400 (no such choice).
    """
    turn = conversations.turn(db, owner, judgement.answer_id, lock=True)
    choice = chosen(turn, judgement.choice)
    before = {rating.choice: rating.should_have_said for rating in turn.ratings}
    row = Rating(
        answer_id=turn.answer.id,
        choice=judgement.choice,
        owner=owner,
        arm=choice.arm,
        rating=judgement.rating,
        reasons=clean(judgement.reasons),
        comment=clean(judgement.comment),
        should_have_said=clean(judgement.should_have_said),
        created_at=time.time(),
    )
    db.merge(row)
    return turn, before.get(judgement.choice, "")


def unrate(db: Session, owner: str, answer_id: str, choice: int) -> None:
    """Take a thumb back, with all its words. ApiError 404 (no such answer)."""
    turn = conversations.turn(db, owner, answer_id, lock=True)
    db.execute(delete(Rating).where(Rating.answer_id == turn.answer.id, Rating.choice == choice))


def chosen(turn: Turn, index: int) -> Choice:
    """A choice of the turn; ApiError 400."""
    found = next((choice for choice in turn.choices if choice.index == index), None)
    if found is None:
        message = f"the answer has no choice {index}: it has {len(turn.choices)}"
        raise ApiError(message, 400, "invalid_request", "choice")
    return found
