"""The metrics, against numbers worked by hand and against scikit-learn's and a second implementation."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Collection, Sequence

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from evals.retrieval.metrics import average, hit_at_k, ndcg_at_k, percentile, recall_at_k, reciprocal_rank

Metric = Callable[[Sequence[str], Collection[str], int], float]
RANKING = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("metric", "gold", "k", "expected"),
    [
        (hit_at_k, {"c"}, 3, 1.0),
        (hit_at_k, {"c"}, 2, 0.0),
        (hit_at_k, {"x"}, 5, 0.0),
        (recall_at_k, {"b", "d"}, 3, 0.5),
        (recall_at_k, {"b", "d", "x"}, 5, 2 / 3),
        (reciprocal_rank, {"c", "e"}, 10, 1 / 3),
        (reciprocal_rank, {"c"}, 2, 0.0),
        # one relevant page at rank 3: 1 / log2(4)
        (ndcg_at_k, {"c"}, 10, 0.5),
        # ranks 2 and 4 of two: (1 / log2 3 + 1 / log2 5) / (1 / log2 2 + 1 / log2 3) = 1.06161 / 1.63093
        (ndcg_at_k, {"b", "d"}, 10, 0.65092),
        # as many relevant as fit, all of them on top
        (ndcg_at_k, {"a", "b", "x", "y"}, 2, 1.0),
        (ndcg_at_k, {"e"}, 3, 0.0),
    ],
)
def test_worked_by_hand(metric: Metric, gold: set[str], k: int, expected: float) -> None:
    assert metric(RANKING, gold, k) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("metric", [hit_at_k, recall_at_k, reciprocal_rank, ndcg_at_k])
def test_a_ranking_may_be_shorter_than_k_but_not_repeat_itself(metric: Metric) -> None:
    assert metric([], {"a"}, 5) == 0.0
    assert metric(["a"], ["a", "a"], 5) == 1.0
    for ranking, gold, k in ((["a", "a"], {"a"}, 5), (["a"], set(), 5), (["a"], {"a"}, 0)):
        with pytest.raises(ValueError, match=r"twice|no relevant|k is 0"):
            metric(ranking, gold, k)


def test_ndcg_is_what_scikit_learn_says() -> None:
    draw = random.Random(1)
    items = [str(n) for n in range(30)]
    for _ in range(200):
        ranking = draw.sample(items, 30)
        gold = set(draw.sample(items, draw.randint(1, 12)))
        k = draw.randint(1, 30)
        truth = [[float(item in gold) for item in ranking]]
        scores = [[float(30 - n) for n in range(30)]]
        assert ndcg_at_k(ranking, gold, k) == pytest.approx(ndcg_score(truth, scores, k=k))


def test_the_reciprocal_rank_of_one_page_is_scikit_learns_average_precision() -> None:
    for rank in range(1, 11):
        ranking = [str(n) for n in range(1, 11)]
        truth = np.array([[n == rank for n in range(1, 11)]], dtype=int)
        expected = label_ranking_average_precision_score(truth, -np.arange(10.0)[None])
        assert reciprocal_rank(ranking, {str(rank)}, 10) == pytest.approx(expected)


def test_hit_and_recall_against_a_second_implementation() -> None:
    draw = random.Random(2)
    for _ in range(200):
        ranking = draw.sample("abcdefghij", draw.randint(0, 10))
        gold = draw.sample("abcdefghijkl", draw.randint(1, 5))
        k = draw.randint(1, 12)
        found = [letter for letter in gold if letter in ranking and ranking.index(letter) < k]
        assert hit_at_k(ranking, gold, k) == (1.0 if found else 0.0)
        assert recall_at_k(ranking, gold, k) == pytest.approx(len(found) / len(gold))


def test_summing_up() -> None:
    assert average([1, 0, 0, 1]) == 0.5
    assert math.isnan(average([]))
    assert math.isnan(percentile([], 50))
    assert percentile([4.0], 95) == 4.0
    values = [random.Random(3).random() for _ in range(57)]
    assert percentile(values, 50) == pytest.approx(statistics.median(values))
    for percent in (0, 5, 33, 95, 100):
        assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))
