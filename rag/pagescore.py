"""BM25 over whole pages, counted from the chunks' own index: a page that keeps to the subject lifts its chunks.

A passage is found by its own words; which of two equal ones is right, the rest of its page often tells. A term's
frequency in a page is the number of the page's chunks that hold it, so no second index is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHT = 0.3
"""What a page's score adds to those of its chunks; benchmarks/LOG.md has the figures."""

K1 = 1.2
B = 0.75


def page_scores(
    bm25: Any, ids: Iterable[int], chunk_pages: NDArray[np.int32], lengths: NDArray[np.int64], pages: NDArray[np.int32]
) -> NDArray[np.float64]:
    """A score for each of ``pages`` (numbers). ``ids``: of tokens; ``chunk_pages``: chunk id -> page number;
    ``lengths``: page number -> chunks.

    score = sum over terms of idf * n / (n + k1 * (1 - b + b * length / mean length)), n and length in chunks, and
    idf = ln(1 + (N - df + .5) / (df + .5)) over pages.
    """
    norm = K1 * (1 - B + B * lengths[pages] / lengths.mean())
    indptr, indices = bm25.scores["indptr"], bm25.scores["indices"]
    scores = np.zeros(len(pages))
    for number in ids:
        chunks = indices[indptr[number] : indptr[number + 1]]
        counts = np.bincount(chunk_pages[chunks], minlength=len(lengths))
        df, found = np.count_nonzero(counts), counts[pages]
        scores += np.log(1 + (len(lengths) - df + 0.5) / (df + 0.5)) * found / (found + norm)
    return scores
