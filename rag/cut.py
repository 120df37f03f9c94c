"""Pages -> chunks and their tokens: here, or in several processes where there is much to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice

from data.processes import process_pool
from data.types import Page
from rag.chunk import Chunk, chunk_page
from rag.lexical import tokenize
from rag.tokens import TokenTable, tabulate

PARALLEL_FROM_CHARS = 4_000_000
"""Starting the processes, jieba's dictionary in each, takes two seconds: less text is done faster in this one."""

_BATCH_CHARS = 400_000

Sizes = tuple[int, int]
"""What a chunk holds at most, and a table or code block, in tokens."""


@dataclass(frozen=True)
class Cut:
    """A batch of pages' chunks, a list for each page, and the tokens of all of them."""

    chunks: list[list[Chunk]]
    tokens: TokenTable


def cut_pages(pages: Sequence[Page], sizes: Sizes, report: Callable[[int, int], None]) -> Iterator[Cut]:
    """The pages' chunks, in order; ``sizes`` as for `chunk_page`, ``report`` is called with (pages done, of all)."""
    batches = list(_batches(pages))
    done = 0
    for cut in _cuts(batches, sizes):
        done += len(cut.chunks)
        report(done, len(pages))
        yield cut


def _batches(pages: Sequence[Page]) -> Iterator[list[Page]]:
    """Consecutive pages, together about _BATCH_CHARS long."""
    batch: list[Page] = []
    size = 0
    for page in pages:
        batch.append(page)
        size += len(page.body)
        if size >= _BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _cuts(batches: Sequence[list[Page]], sizes: Sizes) -> Iterator[Cut]:
    workers = min(os.cpu_count() or 1, 8, len(batches))
    size = sum(len(page.body) for batch in batches for page in batch)
    done = 0
    if workers > 1 and size >= PARALLEL_FROM_CHARS:
        try:
            for cut in _pooled(batches, sizes, workers):
                done += 1
                yield cut
        except BrokenProcessPool:  # a process was killed, for memory perhaps: the rest is done in this one
            pass
    for batch in batches[done:]:
        yield _cut(batch, sizes)


def _pooled(batches: Sequence[list[Page]], sizes: Sizes, workers: int) -> Iterator[Cut]:
    """In order, with no more than two batches a process ahead."""
    pool = process_pool(workers)
    left = iter(batches)
    try:
        running = [pool.submit(_cut, batch, sizes) for batch in islice(left, 2 * workers)]
        while running:
            cut = running.pop(0).result()
            running.extend(pool.submit(_cut, batch, sizes) for batch in islice(left, 1))
            yield cut
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _cut(pages: list[Page], sizes: Sizes) -> Cut:
    chunks = [chunk_page(page, *sizes) for page in pages]
    return Cut(chunks, tabulate(tokenize(chunk.searchable) for found in chunks for chunk in found))
