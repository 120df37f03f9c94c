"""What people said about answers, as labels: votes on comparisons and thumbs, from the gateway's database.

A vote is relative: who won answered well, who lost did not; a tie is two good answers, "both bad" two bad ones. A thumb
judges its own voice. What outlived its question (the answer was deleted) says nothing about routing and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data.feedback import Turn as Earlier
from serving.router.decide import ARMS
from serving.router.labels import Label

if TYPE_CHECKING:
    from serving.store.database import Store


def labels_of(store: Store) -> list[Label]:
    """Every vote and thumb whose question is still there, oldest first."""
    from sqlalchemy import select

    from serving.store.tables import Answer, Rating, Vote

    with store.reading() as db:
        votes = db.execute(select(Answer, Vote).join(Vote, Vote.answer_id == Answer.id)).all()
        thumbs = db.execute(select(Answer, Rating).join(Rating, Rating.answer_id == Answer.id)).all()
        judged = [(vote.created_at, answer, of_vote(vote.arms, vote.winner)) for answer, vote in votes]
        judged += [(rating.created_at, answer, {rating.arm: rating.rating == "up"}) for answer, rating in thumbs]
        judged.sort(key=lambda entry: entry[0])
        return list(_labels(judged))


def of_vote(arms: list[str], winner: str) -> dict[str, bool]:
    """Arm -> answered well. ``winner``: "0", "1", "tie" or "both_bad"."""
    return {arm: winner == "tie" or winner == str(n) for n, arm in enumerate(arms)}


def _labels(judged: Sequence[tuple[float, Any, Mapping[str, bool]]]) -> Iterator[Label]:
    for _, answer, arms in judged:
        known = {arm: good for arm, good in arms.items() if arm in ARMS}
        if known:
            yield Label(question=answer.question, lang=answer.lang, history=tuple(_said(answer.history)), arms=known)


def _said(history: list[Any]) -> Iterator[Earlier]:
    for message in history:
        if message.get("role") in ("user", "assistant"):
            yield Earlier(role=message["role"], content=str(message.get("content") or ""))
