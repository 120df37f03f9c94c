"""The search behind an answer, done once for all who need it: the arms that read, and whoever checks or chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from data.types import Filters
from rag.answerable import Answerability
from rag.labels import check
from rag.live import LiveIndex
from rag.retriever import HybridRetriever
from rag.stages import watched
from rag.types import Passage
from serving.arms.rewrite import standalone
from serving.arms.translate import language_to_search, translation
from serving.arms.turn import Clock, Turn
from serving.engines.engine import Engine
from serving.ops import tracing


@dataclass(frozen=True)
class Found:
    """What a search for ``query`` gave, best passage first, and whether that answers it.

    ``rewritten``: the query is not the user's own words; ``translated``: it is in another language than the question.
    ``timings_ms``: rewrite, retrieve, rerank, translate (milliseconds spent).
    """

    retriever: HybridRetriever
    query: str
    passages: list[Passage]
    verdict: Answerability
    rewritten: bool = False
    translated: bool = False
    timings_ms: Mapping[str, float] = field(default_factory=dict)


async def find(live: LiveIndex, turn: Turn, engine: Engine | None) -> Found:
    """Search for a turn: made standalone and translated by ``engine``, where there is one and it helps.

    Raises NoIndexError, IndexMismatchError or UnknownLabelError (a filter that no page passes).
    """
    clock = Clock()
    retriever = await asyncio.to_thread(live.retriever)
    check(retriever.labels, turn.filters)
    ask = await standalone(turn.question, turn.history, engine, turn.lang)
    if ask.rewritten:
        clock.lap("rewrite")
    found = await asyncio.to_thread(_search, retriever, ask.query, turn.filters)
    clock.lap("retrieve")
    clock.split("retrieve", found.timings_ms)
    other = await _in_other_language(found, turn, engine, clock)
    best, translated = other or found, other is not None
    return replace(best, rewritten=ask.rewritten or translated, translated=translated, timings_ms=clock.timings)


def _search(retriever: HybridRetriever, query: str, filters: Filters) -> Found:
    """Its ``timings_ms`` hold what a part of the search of its own took, which is reranking."""
    with tracing.span("retrieve"), watched() as spent:
        passages = retriever.search(query, None, filters)
        apart = {name: seconds for name, seconds in spent.items() if name == "rerank"}
        for name, seconds in apart.items():
            tracing.stage(name, seconds)
    parts = {name: seconds * 1000 for name, seconds in apart.items()}
    return Found(retriever, query, passages, retriever.answerability(query, passages), timings_ms=parts)


async def _in_other_language(found: Found, turn: Turn, engine: Engine | None, clock: Clock) -> Found | None:
    """What the translated question finds, where that is asked for and better than what ``found`` holds."""
    lang = language_to_search(turn.lang, turn.filters.lang, found.retriever.langs, found.verdict.answerable)
    if engine is None or not lang:
        return None
    with tracing.span("translate"):
        query = await translation(found.query, engine, lang)
    clock.lap("translate")
    if not query:
        return None
    other = await asyncio.to_thread(_search, found.retriever, query, turn.filters)
    clock.lap("retrieve")
    clock.split("retrieve", other.timings_ms)
    return other if other.verdict.score > found.verdict.score else None
