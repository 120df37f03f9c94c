"""Gaps in the docs: questions that every voice refused, or whose answer got a thumbs-down, alike ones together.

Two questions are alike when their words are (Jaccard similarity of their sets of stems). The newest few thousand are
looked at.

"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rag.lexical import tokenize

if TYPE_CHECKING:
    from serving.store.database import Store

ALIKE = 0.6
MOST = 5000
SHOWN = 5
"""Wordings shown of a group."""


@dataclass(frozen=True)
class Asked:
    """A question that was not answered well. ``refused``, ``down``: 1 or 0, the refusal and the thumbs-down."""

    answer_id: str
    question: str
    at: float
    refused: bool
    down: bool


@dataclass
class Gap:
    """Questions that ask the same. ``question``: the newest one; ``wordings``: some different ones, newest first."""

    question: str
    last_at: float
    count: int = 0
    refused: int = 0
    thumbs_down: int = 0
    wordings: list[str] = field(default_factory=list)
    answer_ids: list[str] = field(default_factory=list)

    def add(self, asked: Asked) -> None:
        self.count += 1
        self.refused += asked.refused
        self.thumbs_down += asked.down
        self.answer_ids.append(asked.answer_id)
        if asked.question not in self.wordings and len(self.wordings) < SHOWN:
            self.wordings.append(asked.question)


async def find_gaps(store: Store, days: float, limit: int) -> list[Gap]:
    """The groups of the last ``days``, the one asked last first. Raises StoreError."""
    since = time.time() - days * 86400
    asked = await store.run(_asked, since, writes=False)
    return (await asyncio.to_thread(grouped, asked))[:limit]


def grouped(asked: Iterable[Asked]) -> list[Gap]:
    """``asked``: newest first. A question joins the first group whose newest question is like it."""
    gaps: list[Gap] = []
    words: list[frozenset[str]] = []
    holding: dict[str, list[int]] = {}
    for one in asked:
        own = frozenset(tokenize(one.question)) or frozenset([one.question.strip().casefold()])
        near = sorted({number for word in own for number in holding.get(word, ())})
        found = next((number for number in near if _alike(own, words[number])), None)
        if found is None:
            found = len(gaps)
            gaps.append(Gap(one.question, one.at))
            words.append(own)
            for word in own:
                holding.setdefault(word, []).append(found)
        gaps[found].add(one)
    return gaps


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= ALIKE * len(one | other)


def _asked(db: Any, since: float) -> list[Asked]:
    from sqlalchemy import func, or_, select

    from serving.store.tables import Answer, Choice, Rating

    answered = select(Choice.answer_id).where(Choice.refused.is_(False))
    refused = select(Choice.answer_id).where(Choice.refused.is_(True), Choice.answer_id.not_in(answered))
    down = select(Rating.answer_id).where(Rating.rating == "down")
    is_refused, is_down = Answer.id.in_(refused), Answer.id.in_(down)
    rows = db.execute(
        select(Answer.id, Answer.question, Answer.asked_at, is_refused, is_down)
        .where(Answer.asked_at >= since, or_(is_refused, is_down))
        .order_by(Answer.asked_at.desc(), func.length(Answer.question))
        .limit(MOST)
    )
    return [Asked(*row) for row in rows]
