"""The search behind an answer, done once for all who need it: the arms that read, and whoever checks or chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from data.types import Filters
from rag.answerable import Answerability
from rag.expand import Section
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

    def hopeless(self, engine: Engine | None) -> bool:
        """Whether the question is refused before ``engine`` is asked. Its model refuses by itself what the passages do
        not answer; without one, the verdict decides."""
        if engine is None:
            return not self.verdict.answerable
        return not self.passages or self.verdict.score < engine.trust.refuse_below

    def sections(self, engine: Engine) -> list[Section]:
        """What its model reads: of as many passages, and as much around them, as it has room for."""
        many = self.retriever.config.passages(engine.context)
        return self.retriever.sections(self.passages[:many], engine.context)


async def find(live: LiveIndex, turn: Turn, engine: Engine | None) -> Found:
    """Search for a turn: made standalone and translated by ``engine``, where there is one that can and it helps.

    Raises NoIndexError, IndexMismatchError or UnknownLabelError (a filter that no page passes).
    """
    clock = Clock()
    retriever = await asyncio.to_thread(live.retriever)
    check(retriever.labels, turn.filters)
    writer = engine if engine and engine.trust.rewrites else None
    ask = await standalone(turn.question, turn.history, writer, turn.lang)
    if ask.rewritten:
        clock.lap("rewrite")
    many = live.config.passages(engine.context if engine else None)
    found = await asyncio.to_thread(_search, retriever, ask.query, turn.filters, many)
    clock.lap("retrieve")
    clock.split("retrieve", found.timings_ms)
    other = await _in_other_language(found, turn, writer, many, clock)
    best, translated = other or found, other is not None
    return replace(best, rewritten=ask.rewritten or translated, translated=translated, timings_ms=clock.timings)


def _search(retriever: HybridRetriever, query: str, filters: Filters, many: int) -> Found:
    """Its ``timings_ms`` hold what a part of the search of its own took, which is reranking."""
    with tracing.span("retrieve"), watched() as spent:
        passages = retriever.search(query, many, filters)
        apart = {name: seconds for name, seconds in spent.items() if name == "rerank"}
        for name, seconds in apart.items():
            tracing.stage(name, seconds)
    parts = {name: seconds * 1000 for name, seconds in apart.items()}
    return Found(retriever, query, passages, retriever.answerability(query, passages), timings_ms=parts)


async def _in_other_language(found: Found, turn: Turn, engine: Engine | None, many: int, clock: Clock) -> Found | None:
    """What the translated question finds, where that is asked for and better than what ``found`` holds."""
    lang = language_to_search(turn.lang, turn.filters.lang, found.retriever.langs, found.verdict.answerable)
    if engine is None or not lang:
        return None
    with tracing.span("translate"):
        query = await translation(found.query, engine, lang)
    clock.lap("translate")
    if not query:
        return None
    other = await asyncio.to_thread(_search, found.retriever, query, turn.filters, many)
    clock.lap("retrieve")
    clock.split("retrieve", other.timings_ms)
    return other if other.verdict.score > found.verdict.score else None
