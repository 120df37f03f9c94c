"""Votes, thumbs and answers in the database -> what a report is made of. A function of a session (``Store.run``).

Columns only: a vote has with it what is asked about it (serving/store/facts.py), answers are counted by the database,
and of times and lengths the newest answers tell enough. No words of anybody, no names; what tells the sides of a blind
comparison apart is left out until it is voted on.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, case, cast, func, select, type_coerce
from sqlalchemy.orm import Session

from evals.report.inputs import Battle, Filters, Inputs, Said, Tally
from serving.store import conversations
from serving.store.tables import Answer, Choice, Rating, Vote

NEWEST = 5000
"""Answers whose times, lengths and citations are looked at."""


def read(db: Session, filters: Filters) -> Inputs:
    """All that the report counts. ``filters.arms`` and ``min_votes`` are the report's own, not looked at here."""
    battles = [
        Battle(_arms(arms), winner, blind == 1, *rest) for arms, winner, blind, *rest in _plain(db, _votes(filters))
    ]
    said = [Said(*row) for row in db.execute(_said(filters))]
    return Inputs(battles, _tallies(db, filters), said, filters)


def _plain(db: Session, wanted: Any) -> Any:
    """Rows as the driver gives them, which is twice as fast for 50,000 of them."""
    return db.connection().execute(wanted).cursor.fetchall()


def _votes(filters: Filters) -> Any:
    arms, blind = type_coerce(cast(Vote.arms, Text), Text), cast(Vote.blind, Integer)
    sizes, facts = (
        (Vote.left_chars, Vote.right_chars),
        (Vote.lang, Vote.topic, Vote.product, Vote.in_docs, Vote.favoured),
    )
    wanted = select(arms, Vote.winner, blind, Vote.owner, *sizes, *facts)
    for column, value in ((Vote.lang, filters.lang), (Vote.product, filters.product)):
        wanted = wanted.where(column == value) if value else wanted
    return wanted.where(Vote.created_at >= filters.since) if filters.since else wanted


@lru_cache(256)
def _arms(text: str) -> tuple[str, str]:
    left, right = json.loads(text)
    return left, right


def _tallies(db: Session, filters: Filters) -> list[Tally]:
    """All answers and thumbs, by arm."""
    counts = {arm: Tally(arm, *rest) for arm, *rest in db.execute(_by_arm(filters))}
    for arm, rating, count in db.execute(_thumbs(filters)):
        counts[arm] = counts.get(arm, Tally(arm))._replace(**{rating: count})
    return list(counts.values())


def _by_arm(filters: Filters) -> Any:
    def count(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    failed = Choice.finish_reason.in_(("", "error"))
    told = Choice.answer_id.not_in(select(Answer.id).where(conversations.secret()))
    columns = [count(told), count(Choice.refused & told), count((Choice.degraded != "") & told), count(failed & told)]
    wanted = select(Choice.arm, func.count(), *columns).group_by(Choice.arm)
    asked = _asked(filters)
    return wanted.where(Choice.answer_id.in_(select(Answer.id).where(*asked))) if asked else wanted


def _thumbs(filters: Filters) -> Any:
    wanted = select(Rating.arm, Rating.rating, func.count()).group_by(Rating.arm, Rating.rating)
    wanted = wanted.where(Rating.answer_id.not_in(select(Answer.id).where(conversations.secret())))
    asked = _asked(filters)
    return wanted.where(Rating.answer_id.in_(select(Answer.id).where(*asked))) if asked else wanted


def _said(filters: Filters) -> Any:
    newest = select(Answer.id).where(~conversations.secret(), *_asked(filters))
    newest = newest.order_by(Answer.asked_at.desc()).limit(NEWEST)
    return select(
        Choice.arm,
        cast(Choice.refused, Integer),
        func.length(Choice.text),
        Choice.timings_ms["first_token"].as_float(),
        Choice.timings_ms["total"].as_float(),
        Choice.usage["completion_tokens"].as_integer(),
        func.json_array_length(Choice.citations),
        func.json_array_length(Choice.checks["unsupported"]),
    ).where(Choice.answer_id.in_(newest), Choice.finish_reason.not_in(("", "error")))


def _asked(filters: Filters) -> list[ColumnElement[bool]]:
    """Conditions on answers; none where all of them count."""
    wanted = [Answer.lang == filters.lang] if filters.lang else []
    wanted += [Answer.filters["product"].as_string() == filters.product] if filters.product else []
    return wanted + ([Answer.asked_at >= filters.since] if filters.since else [])
