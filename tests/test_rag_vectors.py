"""Exact and partitioned search over vectors, with and without filters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rag.vectors
from rag.arrays import save_rows
from rag.vectors import ExactVectors, PartitionedVectors, load_matrix, open_vectors, partition, partitioned

DIMS = 32


def clustered(n: int, seed: int = 0) -> np.ndarray:
    """Unit vectors around a few hundred centres, as texts on shared subjects are."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(300, DIMS))
    rows = centres[chance.integers(0, 300, n)] + 0.5 * chance.normal(size=(n, DIMS))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def true_best(matrix: np.ndarray, vector: np.ndarray, n: int, mask: np.ndarray | None = None) -> list[int]:
    scores = np.where(mask, matrix @ vector, -np.inf) if mask is not None else matrix @ vector
    return np.argsort(-scores, kind="stable")[:n].tolist()


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    return clustered(12_000)


@pytest.fixture(scope="module")
def index(matrix: np.ndarray) -> PartitionedVectors:
    return PartitionedVectors(matrix, partitioned(matrix))


@pytest.fixture
def queries() -> np.ndarray:
    return clustered(12_050)[12_000:]  # of the same subjects, none of them in the index


def test_exact(matrix: np.ndarray, queries: np.ndarray) -> None:
    exact = ExactVectors(matrix)
    for query in queries:
        hits = exact.search(query, 10)
        assert [chunk for chunk, _ in hits] == true_best(matrix, query, 10)
        assert hits[0][1] == pytest.approx(float(matrix[hits[0][0]] @ query), abs=1e-6)


def test_a_partitioned_search_finds_nearly_all(
    matrix: np.ndarray, index: PartitionedVectors, queries: np.ndarray
) -> None:
    found = total = 0
    for query in queries:
        hits = index.search(query, 10)
        assert len(hits) == 10
        found += len({chunk for chunk, _ in hits} & set(true_best(matrix, query, 10)))
        total += 10
        for chunk, score in hits:  # the scores are exact, though the codes are not
            assert score == pytest.approx(float(matrix[chunk] @ query), abs=1e-6)
    assert found / total >= 0.97


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["exact", "partitioned"])
def test_filters(
    matrix: np.ndarray, index: PartitionedVectors, queries: np.ndarray, kind: str, share: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(rag.vectors, "_FEW", 1000)
    search = index if kind == "partitioned" else ExactVectors(matrix)
    mask = np.random.default_rng(3).random(len(matrix)) < share
    found = total = 0
    for query in queries:
        hits = search.search(query, 10, mask)
        best = true_best(matrix, query, min(10, int(mask.sum())), mask)
        assert len(hits) == len(best)
        assert all(mask[chunk] for chunk, _ in hits)
        found, total = found + len({chunk for chunk, _ in hits} & set(best)), total + len(best)
    exact = kind == "exact" or mask.sum() <= 1000
    assert found == total if exact else found / total >= 0.95


def test_the_same_vectors_give_the_same_index(matrix: np.ndarray, index: PartitionedVectors) -> None:
    again = PartitionedVectors(matrix, partitioned(matrix.copy()))
    assert again._index.nprobe == index._index.nprobe
    for query in clustered(20, seed=5):
        assert again.search(query, 10) == index.search(query, 10)


def test_chosen_by_size(matrix: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_rows(tmp_path / "vectors.npy", [matrix[:5000], matrix[5000:]])
    assert np.array_equal(load_matrix(tmp_path), matrix)
    assert not partition(tmp_path)
    assert isinstance(open_vectors(tmp_path), ExactVectors)
    monkeypatch.setattr(rag.vectors, "EXACT_UP_TO", 10_000)
    assert partition(tmp_path)
    assert isinstance(open_vectors(tmp_path), PartitionedVectors)
    assert open_vectors(tmp_path).ntotal == len(matrix)


def test_fewer_than_asked_for(matrix: np.ndarray) -> None:
    assert len(ExactVectors(matrix[:3]).search(matrix[0], 10)) == 3


def test_rows_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows of float32"):
        save_rows(tmp_path / "x.npy", [np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)])
