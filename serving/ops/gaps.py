"""Gaps in the docs: questions that were not answered well, those that ask for the same thing together (topics.py).

Trouble is a refusal of every voice that was asked, a thumbs-down, a vote that both answers are bad, or a learned answer
most of whose sentences no page supports. The newest MOST such questions are looked at. Who asked is not told.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from data.errors import DocDuetError
from data.lang import detect_lang

if TYPE_CHECKING:
    import numpy as np

    from rag.embed import Embedder, Vectors
    from rag.live import LiveIndex
    from serving.ops.topics import Topic
    from serving.store.database import Store

MOST = 3000
LOW_SUPPORT = 0.5
"""Of a learned answer's sentences: where fewer are supported, the docs may not hold it."""

SHOWN = 12
"""Samples of a group, newest first."""

FRESH_S = 60.0
"""A report is made anew after so long."""

VECTORS_KEPT = 2 * MOST
KINDS = ("refused", "thumbs_down", "both_bad", "unsupported")


@dataclass(frozen=True)
class Asked:
    """A question that was not answered well. ``kinds``: of KINDS, what was wrong."""

    answer_id: str
    question: str
    at: float
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """Questions that ask for the same. ``question``: the one nearest their centre; ``words``: what tells them apart.

    ``kinds``: how often each trouble was; ``share``: of all questions in trouble. ``samples``: the newest, each wording
    once.
    """

    question: str
    words: tuple[str, ...]
    count: int
    share: float
    last_at: float
    kinds: Mapping[str, int]
    samples: tuple[Asked, ...]
    answer_ids: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """``asked``: answers in these days; ``troubled``: those that were looked at; ``more``: whether older ones were not.
    ``gaps``: the largest first."""

    days: float
    asked: int
    troubled: int
    more: bool
    gaps: tuple[Gap, ...] = ()


class GapFinder:
    """Reports of the store's questions, made off the event loop, one at a time, and kept for FRESH_S."""

    def __init__(self, store: Store, live: LiveIndex) -> None:
        self._store = store
        self._live = live
        self._making = asyncio.Lock()
        self._made: dict[float, tuple[float, Report]] = {}
        self._vectors: OrderedDict[tuple[str, str], np.ndarray[Any, Any]] = OrderedDict()

    async def find(self, days: float) -> Report:
        """The gaps of the last ``days``. Raises StoreError."""
        async with self._making:
            self._made = {key: made for key, made in self._made.items() if time.monotonic() - made[0] < FRESH_S}
            if days not in self._made:
                since = time.time() - days * 86400
                asked, total = await self._store.run(_read, since, writes=False)
                report = await asyncio.to_thread(self._report, days, asked, total)
                self._made[days] = (time.monotonic(), report)
            return self._made[days][1]

    def _report(self, days: float, asked: Sequence[Asked], total: int) -> Report:
        gaps = grouped(asked, self._topics([one.question for one in _different(asked)]))
        return Report(days, total, len(asked), len(asked) >= MOST, gaps)

    def _topics(self, texts: Sequence[str]) -> list[Topic]:
        """By the index's own embedder; where there is no index, by words."""
        from serving.ops.topics import topics

        try:
            embedder = self._live.retriever().embedder
        except DocDuetError:
            return topics(texts, [False] * len(texts), lambda _: (_ for _ in ()).throw(AssertionError))
        known = [not embedder.langs or detect_lang(text) in embedder.langs for text in texts]
        return topics(texts, known, lambda some: self._embedded(embedder, some))

    def _embedded(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """Vectors of ``texts``; only what was not asked before is computed."""
        import numpy as np

        keys = [(embedder.fingerprint, text) for text in texts]
        new = [key for key in dict.fromkeys(keys) if key not in self._vectors]
        if new:
            self._vectors.update(zip(new, embedder.documents([text for _, text in new]), strict=True))
        found = np.array([self._vectors[key] for key in keys], np.float32)
        while len(self._vectors) > VECTORS_KEPT:
            self._vectors.popitem(last=False)
        return found


def grouped(asked: Sequence[Asked], topics: Sequence[Topic]) -> tuple[Gap, ...]:
    """The gaps, the largest first. ``asked``: newest first; ``topics``: over the different questions among them."""
    different = _different(asked)
    same: dict[str, list[Asked]] = {}
    for one in asked:
        same.setdefault(_key(one), []).append(one)
    gaps = []
    for topic in topics:
        members = [one for number in topic.members for one in same[_key(different[number])]]
        members.sort(key=lambda one: -one.at)
        kinds = Counter(kind for one in members for kind in one.kinds)
        gaps.append(
            Gap(
                question=different[topic.members[0]].question,
                words=topic.words,
                count=len(members),
                share=round(len(members) / len(asked), 4),
                last_at=members[0].at,
                kinds={kind: kinds[kind] for kind in KINDS},
                samples=tuple(_different(members)[:SHOWN]),
                answer_ids=tuple(one.answer_id for one in members),
            )
        )
    return tuple(sorted(gaps, key=lambda gap: (-gap.count, -gap.last_at)))


def _key(asked: Asked) -> str:
    return " ".join(asked.question.casefold().split())


def _different(asked: Sequence[Asked]) -> list[Asked]:
    """The newest of each wording."""
    found: dict[str, Asked] = {}
    for one in asked:
        found.setdefault(_key(one), one)
    return list(found.values())


def trouble(db: Any, answer_id: str) -> tuple[str, ...]:
    """What was wrong with one answer; () for nothing, and for one that there is not."""
    from serving.store.tables import Answer

    found = _asked(db, Answer.id == answer_id)
    return found[0].kinds if found else ()


def _read(db: Any, since: float) -> tuple[list[Asked], int]:
    """The newest questions in trouble, and how many answers there were in all."""
    from sqlalchemy import func, select

    from serving.store.tables import Answer

    total = db.scalar(select(func.count()).select_from(Answer).where(Answer.asked_at >= since))
    return _asked(db, Answer.asked_at >= since), int(total or 0)


def _asked(db: Any, which: Any) -> list[Asked]:
    """Of the answers ``which``, those in trouble, newest first."""
    found = {one.answer_id: one for one in _judged(db, which)}
    for one in _unsupported(db, which):
        known = found.get(one.answer_id)
        found[one.answer_id] = replace(known, kinds=known.kinds + one.kinds) if known else one
    return sorted(found.values(), key=lambda one: (-one.at, one.answer_id))[:MOST]


def _judged(db: Any, which: Any) -> list[Asked]:
    """Refused by every voice, or found bad by whoever asked."""
    from sqlalchemy import or_, select

    from serving.store.tables import Answer, Choice, Rating, Vote

    answered = select(Choice.answer_id).where(Choice.refused.is_(False))
    kinds = (
        Answer.id.in_(select(Choice.answer_id).where(Choice.refused.is_(True), Choice.answer_id.not_in(answered))),
        Answer.id.in_(select(Rating.answer_id).where(Rating.rating == "down")),
        Answer.id.in_(select(Vote.answer_id).where(Vote.winner == "both_bad")),
    )
    columns = (Answer.id, Answer.question, Answer.asked_at, *kinds)
    rows = db.execute(select(*columns).where(which, or_(*kinds)).order_by(Answer.asked_at.desc()).limit(MOST))
    return [
        Asked(id, question, at, tuple(kind for kind, true in zip(KINDS, flags, strict=False) if true))
        for id, question, at, *flags in rows
    ]


def _unsupported(db: Any, which: Any) -> list[Asked]:
    """Learned answers that the docs mostly do not support."""
    from sqlalchemy import select

    from serving.store.tables import Answer, Choice

    rows = db.execute(
        select(Answer.id, Answer.question, Answer.asked_at, Choice.checks)
        .join(Choice, Choice.answer_id == Answer.id)
        .where(which, Choice.arm == "sft", Choice.refused.is_(False))
        .order_by(Answer.asked_at.desc())
        .limit(MOST)
    )
    return [Asked(id, question, at, ("unsupported",)) for id, question, at, checks in rows if low_support(checks)]


def low_support(checks: Mapping[str, Any]) -> bool:
    """Whether most sentences of an answer are supported by no page, as far as that was checked."""
    sentences = checks.get("support") or ()
    return bool(sentences) and sum(bool(one["page_id"]) for one in sentences) < LOW_SUPPORT * len(sentences)
