"""Pages as passages, cut as the index cuts them (rag.chunk), and the nearest of them to a question (BM25).

What RAFT samples and teachers show a model. Deterministic; everything is made on first use.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from data.types import Page
from rag.chunk import Chunk, chunk_page
from rag.lexical import tokenize
from sft.rules.text import shuffled
from sft.tokens import CONTROL

CHUNK_TOKENS = 220
CHUNKS_A_PAGE = 60
"""A page of 300 kB is a table: it would be most of what distracts."""


@dataclass(frozen=True)
class Candidate:
    """A chunk with its page: what `rag_messages` needs."""

    page: Page
    chunk: Chunk

    @property
    def title(self) -> str:
        return self.page.title

    @property
    def heading_path(self) -> tuple[str, ...]:
        return self.chunk.heading_path

    @property
    def text(self) -> str:
        return self.chunk.text


class Passages:
    """All chunks of ``pages``, searchable. ``chunk_tokens``, ``whole_tokens``: as in [rag]."""

    def __init__(self, pages: Sequence[Page], chunk_tokens: int = CHUNK_TOKENS, whole_tokens: int = 0) -> None:
        self._pages = pages
        self._sizes = (chunk_tokens, whole_tokens)
        self._cut: dict[str, list[Candidate]] = {}

    def of(self, page: Page) -> list[Candidate]:
        """The page's passages, in order, without those that quote control tokens: no model may be shown them."""
        if page.url not in self._cut:
            self._cut[page.url] = [
                Candidate(page, chunk)
                for chunk in chunk_page(page, *self._sizes)
                if not CONTROL.search(chunk.searchable)
            ]
        return self._cut[page.url]

    def holding(self, page: Page, start: int, end: int) -> Candidate | None:
        """The passage that holds all of ``page.body[start:end]``, if one does."""
        chunks = self.of(page)
        at = bisect_right(chunks, start, key=lambda one: one.chunk.start) - 1
        return chunks[at] if at >= 0 and end <= chunks[at].chunk.end else None

    def near(self, query: str, count: int, keep: Callable[[Candidate], bool]) -> list[Candidate]:
        """The nearest passages that ``keep`` agrees to, nearest first; at most eight times ``count`` are looked at."""
        wanted = min(count * 8, len(self._pool))
        if wanted < 1:
            return []
        places, _ = self._index.retrieve([tokenize(query) or [""]], k=wanted, show_progress=False)
        found = (self._pool[int(place)] for place in places[0])
        return [one for one in found if keep(one)][:count]

    @cached_property
    def _pool(self) -> list[Candidate]:
        pool: list[Candidate] = []
        for page in self._pages:
            found = self.of(page)
            pool += found if len(found) <= CHUNKS_A_PAGE * 3 else shuffled_in(found, page.url)[:CHUNKS_A_PAGE]
        return pool

    @cached_property
    def _index(self) -> Any:
        import bm25s

        index = bm25s.BM25(k1=1.2, b=0.75)
        index.index([tokenize(one.chunk.searchable) or [""] for one in self._pool], show_progress=False)
        return index


def by_lang(pages: Sequence[Page], chunk_tokens: int = CHUNK_TOKENS, whole_tokens: int = 0) -> dict[str, Passages]:
    """Language -> the passages of its pages."""
    found: dict[str, list[Page]] = defaultdict(list)
    for page in pages:
        found[page.lang].append(page)
    return {lang: Passages(some, chunk_tokens, whole_tokens) for lang, some in found.items()}


def shuffled_in(found: Sequence[Candidate], seed: str) -> list[Candidate]:
    """In an order that depends on ``seed`` alone."""
    order = shuffled(range(len(found)), seed)
    return [found[at] for at in order]
