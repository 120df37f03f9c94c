"""The dense side's search: exact for small indexes, partitioned for large ones, chosen by size when an index is built.

    vectors.npy     float32, shape (chunks, dims), length 1: what the embedder gave, memory-mapped
    vectors.faiss   above EXACT_UP_TO: FAISS IVF over 8-bit codes, a quarter of the memory

A partitioned search finds more candidates than asked for and ranks them by their exact vectors, so scores are cosines
in either case. How many partitions it looks into is measured when the index is built, against the exact search. Each
search takes one core: FAISS spreads many queries over threads, never one, so requests do not fight for them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.embed import Vectors

EXACT_UP_TO = 20_000
"""Chunks searched one by one: 2 ms at 384 dimensions. At 120,000 it would be 15; the partitioned search takes 1."""

_FEW = 4096
"""Chunks left by a filter that are fetched and compared one by one."""

RECALL = 0.99
"""Share of the ten nearest neighbours that a partitioned search must find, measured when it is built."""

_SAMPLE = 256
_TRAIN_PER_PARTITION = 40
_ROUNDS = 5
_SEED = 1
_FILE = "vectors.faiss"

Hits = list[tuple[int, float]]
"""(chunk id, inner product), best first; of equal ones the lower id first."""

Mask = NDArray[np.bool_]


class VectorIndex(Protocol):
    """Nearest chunks by inner product. Thread-safe."""

    @property
    def ntotal(self) -> int: ...

    def search(self, vector: Vectors, n: int, mask: Mask | None = None) -> Hits:
        """The ``n`` best, among those where ``mask`` (one bool a chunk) is true; ``vector`` of shape (dims,)."""
        ...


class ExactVectors:
    """Compares with every vector."""

    def __init__(self, matrix: Vectors) -> None:
        self.matrix = matrix

    @property
    def ntotal(self) -> int:
        return len(self.matrix)

    def search(self, vector: Vectors, n: int, mask: Mask | None = None) -> Hits:
        rows = np.arange(self.ntotal) if mask is None else np.flatnonzero(mask)
        if len(rows) <= _FEW:
            return _best(self.matrix, rows, vector, n)
        return _sorted(rows, (self.matrix @ vector)[rows], n)


class PartitionedVectors:
    """Compares with the vectors of the nearest partitions; with each one where a filter leaves few."""

    _WIDER = 4
    """Candidates ranked exactly, for each one asked for: 8-bit codes rank a little differently."""

    def __init__(self, matrix: Vectors, index: Any) -> None:
        self.matrix = matrix
        self._index = index

    @property
    def ntotal(self) -> int:
        return int(self._index.ntotal)

    def search(self, vector: Vectors, n: int, mask: Mask | None = None) -> Hits:
        if mask is None:
            return self._probe(vector, n, self._index.nprobe)
        rows = np.flatnonzero(mask)
        if len(rows) <= _FEW:
            return _best(self.matrix, rows, vector, n)
        probes = math.ceil(self._index.nprobe * self.ntotal / len(rows))
        return self._probe(vector, n, min(probes, self._index.nlist), mask)

    def _probe(self, vector: Vectors, n: int, probes: int, mask: Mask | None = None) -> Hits:
        import faiss

        chosen: dict[str, Any] = {"nprobe": probes}
        if mask is not None:
            bits: Any = np.packbits(mask, bitorder="little")
            chosen["sel"] = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg]
        params = faiss.SearchParametersIVF(**chosen)
        _, ids = self._index.search(vector[None, :], self._WIDER * n, params=params)
        return _best(self.matrix, ids[0][ids[0] >= 0], vector, n)


def open_vectors(folder: Path) -> VectorIndex:
    """The search over a generation's vectors. Raises OSError, ValueError or RuntimeError."""
    matrix = load_matrix(folder)
    if not (folder / _FILE).exists():
        return ExactVectors(matrix)
    import faiss

    return PartitionedVectors(matrix, faiss.read_index(str(folder / _FILE)))


def load_matrix(folder: Path) -> Vectors:
    """The vectors themselves, memory-mapped."""
    matrix: Vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    return matrix


def partition(folder: Path) -> bool:
    """Write the partitioned index beside the vectors where there are enough of them; says whether it did."""
    matrix = load_matrix(folder)
    if len(matrix) <= EXACT_UP_TO:
        return False
    import faiss

    index = partitioned(matrix)
    faiss.write_index(index, str(folder / _FILE))
    return True


def partitioned(matrix: Vectors) -> Any:
    """FAISS IVF with 8-bit codes over all rows, ``nprobe`` set so that RECALL holds; equal rows give equal indexes."""
    import faiss

    total, dims = matrix.shape
    partitions = int(2 * math.sqrt(total))
    chance = np.random.default_rng(_SEED)
    sample = np.sort(chance.choice(total, min(total, partitions * _TRAIN_PER_PARTITION), replace=False))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dims), dims, partitions, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    index.cp.niter = _ROUNDS
    index.cp.spherical = True
    index.cp.seed = _SEED
    index.train(matrix[sample])
    for start in range(0, total, 65536):
        index.add(matrix[start : start + 65536])
    index.nprobe = _probes(matrix, index, _hard_queries(matrix, chance))
    return index


def _hard_queries(matrix: Vectors, chance: np.random.Generator) -> Vectors:
    """Means of five chunks each: about as far from any chunk as questions are, which chunks are not from each other."""
    rows = chance.choice(len(matrix), (_SAMPLE, 5))
    queries: Vectors = matrix[rows.ravel()].reshape(_SAMPLE, 5, -1).sum(axis=1)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return queries


def _probes(matrix: Vectors, index: Any, queries: Vectors) -> int:
    """How many partitions to look into: the first of 8, 12, 16, 24, 32 ... that finds RECALL of the ten nearest."""
    import faiss

    _, true = faiss.knn(queries, matrix, 10, metric=faiss.METRIC_INNER_PRODUCT)
    search = PartitionedVectors(matrix, index)
    probes = 8
    while probes < index.nlist:
        found = [{chunk for chunk, _ in search._probe(query, 10, probes)} for query in queries]
        if sum(len(hits & set(row)) for hits, row in zip(found, true.tolist(), strict=True)) >= RECALL * true.size:
            return probes
        probes = probes * 3 // 2 if probes & (probes - 1) == 0 else probes * 4 // 3
    return int(index.nlist)


def _best(matrix: Vectors, rows: NDArray[np.int64], vector: Vectors, n: int) -> Hits:
    """The best of these rows, compared exactly."""
    return _sorted(rows, matrix[rows] @ vector, n)


def _sorted(ids: NDArray[np.int64], scores: NDArray[np.float32], n: int) -> Hits:
    if n < len(ids):
        best = np.argpartition(-scores, n)[:n]
        ids, scores = ids[best], scores[best]
    order = np.lexsort((ids, -scores))
    return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))
