"""Votes with the question and both answers, for a judge to vote on as well. A function of a session (``Store.run``).

Only for who reads the database itself: no route of the gateway tells others' conversations.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from data.feedback import Turn
from evals.judge.agreement import VotedPair
from serving.store.tables import Answer, Choice, Vote


def voted(db: Session, most: int) -> list[VotedPair]:
    """The newest ``most`` votes whose conversation is still there."""
    wanted = select(Vote, Answer).join(Answer, Answer.id == Vote.answer_id)
    found = db.execute(wanted.order_by(Vote.created_at.desc(), Vote.answer_id).limit(most)).all()
    return [_pair(db, vote, answer) for vote, answer in found]


def _pair(db: Session, vote: Vote, answer: Answer) -> VotedPair:
    choices = select(Choice).where(Choice.answer_id == answer.id).order_by(Choice.index)
    left, right = db.scalars(choices)
    urls = dict.fromkeys(str(source["url"]) for choice in (left, right) for source in choice.sources)
    return VotedPair(
        id=answer.id,
        question=answer.question,
        lang=answer.lang,
        history=tuple(Turn(role=said["role"], content=said["content"]) for said in answer.history),
        answers=(left.text, right.text),
        urls=tuple(urls),
        winner=vote.winner,
    )
