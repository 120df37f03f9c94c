"""Retrieval metrics: pure functions of a ranking (best first, each item once) and the relevant items (gold).

Relevance is binary. A ranking shorter than ``k`` counts as if nothing relevant came after its end. Every metric wants
at least one gold item and a ``k`` of 1 or more, and is a number in [0, 1]. `average` and `percentile` sum up questions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def hit_at_k(ranking: Sequence[T], gold: Collection[T], k: int) -> float:
    """1 if any of the first ``k`` is relevant, else 0 (also called success@k)."""
    return float(reciprocal_rank(ranking, gold, k) > 0)


def recall_at_k(ranking: Sequence[T], gold: Collection[T], k: int) -> float:
    """The share of the relevant items that is among the first ``k``: |gold & top k| / |gold|."""
    top = _top(ranking, gold, k)
    return len(set(top) & set(gold)) / len(set(gold))


def reciprocal_rank(ranking: Sequence[T], gold: Collection[T], k: int) -> float:
    """1 / rank of the first relevant item, 0 if it is not among the first ``k``.

    Its mean over questions is MRR@k (Voorhees, "The TREC-8 Question Answering Track Report", 1999).
    """
    for rank, item in enumerate(_top(ranking, gold, k), start=1):
        if item in gold:
            return 1.0 / rank
    return 0.0


def ndcg_at_k(ranking: Sequence[T], gold: Collection[T], k: int) -> float:
    """DCG@k / IDCG@k with DCG@k = sum over ranks i of rel_i / log2(i + 1), rel_i 1 or 0.

    IDCG@k is the DCG of a ranking that has the relevant items first (Jaervelin and Kekaelaeinen, "Cumulated gain-based
    evaluation of IR techniques", TOIS 2002, in the form with the discount at every rank).
    """
    dcg = sum(_discount(rank) for rank, item in enumerate(_top(ranking, gold, k), start=1) if item in gold)
    ideal = sum(_discount(rank) for rank in range(1, min(k, len(set(gold))) + 1))
    return dcg / ideal


def average(values: Iterable[float]) -> float:
    """Arithmetic mean; NaN of nothing, so that an empty group never looks like a bad score."""
    found = list(values)
    return math.fsum(found) / len(found) if found else math.nan


def percentile(values: Iterable[float], percent: float) -> float:
    """The value below which ``percent`` of ``values`` lie, linear between two neighbours; NaN of nothing."""
    found = sorted(values)
    if not found:
        return math.nan
    at = (len(found) - 1) * percent / 100
    low, high = math.floor(at), math.ceil(at)
    return found[low] + (found[high] - found[low]) * (at - low)


def _top(ranking: Sequence[T], gold: Collection[T], k: int) -> Sequence[T]:
    """The first ``k``; raises ValueError for what no metric is defined on."""
    if k < 1:
        raise ValueError(f"k is {k}: a metric looks at 1 item or more")
    if not gold:
        raise ValueError("no relevant items given: the metric is not defined")
    if len(set(ranking)) != len(ranking):
        raise ValueError("the ranking holds an item twice: count each item once, at its best rank")
    return ranking[:k]


def _discount(rank: int) -> float:
    return 1.0 / math.log2(rank + 1)
