"""BM25's matrix, counted from token numbers in one go instead of chunk by chunk; bm25s stores and searches it.

The scores are those of `bm25s.BM25.index` (method "lucene"), to the last bit: tests/test_rag_bm25.py compares them.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.tokens import TokenTable

K1 = 1.2
B = 0.75


def bm25s_library() -> Any:
    """The module bm25s. It imports jax where that is installed, which must not ask for a GPU that an engine fills."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import bm25s

    return bm25s


def bm25_of(table: TokenTable) -> Any:
    """A bm25s.BM25 over the chunks of ``table``, document number = chunk number, token number = vocabulary's.

    score = idf * tf / (k1 * (1 - b + b * length / mean length) + tf), idf = ln(1 + (N - df + .5) / (df + .5)):
    Kamphuis et al., ECIR 2020, as in bm25s/scoring.py. A chunk without tokens scores nothing.
    """
    lengths = np.diff(table.offsets)
    token, chunk, count = _counts(table, lengths)
    frequency = np.bincount(token, minlength=len(table.vocabulary))
    mean = lengths.mean()
    share = count / (K1 * ((1 - B) + B * lengths[chunk] / mean) + count)
    data = (_idf(frequency, len(table))[token] * share).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(frequency)]).astype(np.int64)
    index = bm25s_library().BM25(k1=K1, b=B)
    index.scores = {"data": data, "indices": chunk, "indptr": starts, "num_docs": len(table)}
    index.vocab_dict = {word: number for number, word in enumerate(table.vocabulary)}
    index.nonoccurrence_array = None
    return index


def _counts(
    table: TokenTable, lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """(token, chunk, how often), by token, then by chunk."""
    chunks = len(table)
    keys = table.ids.astype(np.int64)
    keys *= chunks
    keys += np.repeat(np.arange(chunks, dtype=np.int32), lengths)
    keys.sort()
    fresh = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
    at = np.flatnonzero(fresh)
    count = np.diff(at, append=len(keys)).astype(np.float32)
    token, chunk = np.divmod(keys[at], chunks)
    return token, chunk.astype(np.int32), count


def _idf(frequency: NDArray[np.int64], chunks: int) -> NDArray[np.float32]:
    """By token; through math.log, whose last bit NumPy's vectorised one does not always share."""
    values, inverse = np.unique(frequency, return_inverse=True)
    logs = [math.log(1 + (chunks - df + 0.5) / (df + 0.5)) for df in values.tolist()]
    return np.array(logs, dtype=np.float32)[inverse]
