"""Votes, thumbs and answers in the database -> what a report is made of. A function of a session (``Store.run``).

A vote has with it what is asked about it (serving/store/facts.py), answers are counted by the database,
and of times and lengths the newest answers tell enough. No words of anybody, no names; what tells the sides of a blind
comparison apart is left out until it is voted on.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, cast, func, literal, select, type_coerce
from sqlalchemy.orm import Session

from evals.report.inputs import Battles, Filters, Inputs, Said, Tally
from serving.store import conversations
from serving.store.tables import Answer, Choice, Rating, Vote

NEWEST = 2000
"""Answers whose times, lengths and citations are looked at."""

_BETWEEN = "\x1f"


def read(db: Session, filters: Filters) -> Inputs:
    """All that the report counts. ``filters.arms`` and ``min_votes`` are the report's own, not looked at here."""
    arms, winner, blind, user, left_chars, right_chars, *facts = _columns(db, _votes(filters))
    numbers = ([int(number) for number in column] for column in (left_chars, right_chars))
    votes = Battles([_arms(text) for text in arms], winner, [int(yes) for yes in blind], user, *numbers, *facts)  # type: ignore[arg-type]
    said = [Said(*row) for row in db.connection().execute(_said(filters)).cursor.fetchall()]
    return Inputs(votes, _tallies(db, filters), said, filters)


def _votes(filters: Filters) -> Any:
    arms, blind = type_coerce(cast(Vote.arms, Text), Text), cast(Vote.blind, Integer)
    sizes, facts = (Vote.left_chars, Vote.right_chars), (Vote.lang, Vote.topic, Vote.product)
    wanted = select(arms, Vote.winner, blind, Vote.owner, *sizes, *facts, Vote.in_docs, Vote.favoured)
    for column, value in ((Vote.lang, filters.lang), (Vote.product, filters.product)):
        wanted = wanted.where(column == value) if value else wanted
    return wanted.where(Vote.created_at >= filters.since) if filters.since else wanted


def _columns(db: Session, wanted: Any) -> list[list[Any]]:
    """The columns of ``wanted``, each put together by the database: a third of the time that rows take. PostgreSQL
    gives texts, SQLite also numbers."""
    if db.get_bind().dialect.name == "postgresql":
        texts = [func.replace(cast(column, Text), _BETWEEN, " ") for column in wanted.selected_columns]
        found = db.connection().execute(wanted.with_only_columns(*(func.string_agg(t, _BETWEEN) for t in texts))).one()
        return [[] if column is None else column.split(_BETWEEN) for column in found]
    arrays = [func.json_group_array(column) for column in wanted.selected_columns]
    return [json.loads(column) for column in db.connection().execute(wanted.with_only_columns(*arrays)).one()]


@lru_cache(256)
def _arms(text: str) -> tuple[str, str]:
    left, right = json.loads(text)
    return left, right


def _tallies(db: Session, filters: Filters) -> list[Tally]:
    """All answers and thumbs, by arm."""
    counts = _answered(db, filters)
    for arm, rating, count in db.execute(_thumbs(filters)):
        counts[arm] = counts.get(arm, Tally(arm))._replace(**{rating: count})
    return list(counts.values())


def _answered(db: Session, filters: Filters) -> dict[str, Tally]:
    counts: dict[str, Counter[str]] = {}
    for arm, refused, degraded, finish_reason, told, count in db.execute(_kinds(filters)):
        found = counts.setdefault(arm, Counter())
        found["answers"] += count if told else 0
        of = {"told": True, "refused": refused, "degraded": degraded, "failed": finish_reason in ("", "error")}
        for kind in (kind for kind, holds in of.items() if holds):
            found[kind] += count if told else -count
    return {arm: Tally(arm, **found) for arm, found in counts.items()}


def _kinds(filters: Filters) -> Any:
    """How many answers of each kind: all, then those not told yet, to be taken off: an index alone is read, where
    asking of each answer whether it is told takes twice the time."""
    kinds, asked = (Choice.arm, Choice.refused, Choice.degraded, Choice.finish_reason), _asked(filters)

    def counted(told: bool, *conditions: Any) -> Any:
        of = [Choice.answer_id.in_(select(Answer.id).where(*conditions))] if conditions else []
        return select(*kinds, literal(told), func.count()).where(*of).group_by(*kinds)

    return counted(True, *asked).union_all(counted(False, conversations.secret(), *asked))


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
