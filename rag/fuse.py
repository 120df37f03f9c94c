"""Reciprocal rank fusion: several rankings into one (Cormack, Clarke and Buettcher, SIGIR 2009)."""

from __future__ import annotations

from collections.abc import Sequence

K = 60
"""The paper's constant: how fast the weight of a rank falls."""


def fuse(rankings: Sequence[tuple[float, Sequence[int]]]) -> list[tuple[int, float]]:
    """(item, score) pairs, best first, from (weight, items best first) rankings.

    An item's score is the sum over rankings of weight / (K + rank), rank from 1. Give only real hits: whatever is in a
    ranking counts. Ties go to the smaller item, so the result depends on nothing but the input.
    """
    scores: dict[int, float] = {}
    for weight, items in rankings:
        for rank, item in enumerate(items, start=1):
            scores[item] = scores.get(item, 0.0) + weight / (K + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
