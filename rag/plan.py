"""Which chunks of a new index come from the live one, and which have to be made.

A page's chunks follow from its title and body alone (and from the recipe, which must be the same), so a page that kept
its content keeps its chunks, whatever it is called now and whatever its labels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.types import Page
from rag.chunk import Chunk
from rag.embed import Vectors
from rag.generation import IndexGeneration, PageSpan
from rag.tokens import TokenTable, joined


@dataclass(frozen=True)
class Fresh:
    """What was made: chunks by page, and the tokens and vectors of all of them, in the same order."""

    chunks: Sequence[Sequence[Chunk]]
    tokens: TokenTable
    vectors: Vectors


@dataclass(frozen=True)
class Run:
    """Chunks that stay together: numbers ``start`` to ``end`` (exclusive) among the live or among the fresh ones.

    They are numbered from ``to`` in the new index; ``shift``: new minus old number of the (live) pages they belong to.
    """

    live: bool
    start: int
    end: int
    to: int
    shift: int


class Plan:
    """``pages`` in their new order; ``live``: an index of the same recipe, or None."""

    def __init__(self, pages: Sequence[Page], live: IndexGeneration | None) -> None:
        self.pages = pages
        self.hashes = [page.content_hash for page in pages]
        self.live = live
        known = live.spans() if live else {}
        self._known: list[PageSpan | None] = [known.get(content) for content in self.hashes]
        self.to_do = [number for number, span in enumerate(self._known) if span is None]
        """Numbers of the pages that have to be cut."""

    def complete(self, fresh: Fresh) -> Layout:
        """The new index, once ``to_do`` is done."""
        runs: list[Run] = []
        firsts, made, to, page_of_fresh = [], 0, 0, iter(fresh.chunks)
        for number, span in enumerate(self._known):
            firsts.append(to)
            if span is None:
                run = Run(False, made, made + len(next(page_of_fresh)), to, 0)
                made = run.end
            else:
                run = Run(True, span.first, span.first + span.chunks, to, number - span.number)
            to += run.end - run.start
            _append(runs, run)
        return Layout(self, fresh, runs, [*firsts, to])


def _append(runs: list[Run], run: Run) -> None:
    last = runs[-1] if runs else None
    if run.start == run.end:
        return
    if last and (last.live, last.end, last.shift) == (run.live, run.start, run.shift):
        runs[-1] = replace(last, end=run.end)
    else:
        runs.append(run)


@dataclass(frozen=True)
class Layout:
    """A new index as runs of chunks. ``firsts``: number of each page's first chunk, and at the end of all chunks."""

    plan: Plan
    fresh: Fresh
    runs: Sequence[Run]
    firsts: Sequence[int]

    @property
    def chunks(self) -> int:
        return self.firsts[-1]

    def tokens(self) -> TokenTable:
        """The tokens of all chunks."""
        live = self.plan.live
        tables = [live.tokens if live and run.live else self.fresh.tokens for run in self.runs]
        return joined([table.rows(run.start, run.end) for table, run in zip(tables, self.runs, strict=True)])

    def vectors(self) -> list[Vectors]:
        """The vectors of all chunks, run by run; those of the live index are views of its file."""
        live = self.plan.live
        return [(live.matrix if live and run.live else self.fresh.vectors)[run.start : run.end] for run in self.runs]
