"""The scorecard's intervals and gate, by simulation: 95 % intervals cover, false alarms are rare, drops are found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from evals.report import stats
from evals.runs import Result
from evals.scorecard.bootstrap import Taken, difference, draws, score
from evals.scorecard.measures import BY_NAME, MEASURES

FACTS, LATENCY, TOKENS = BY_NAME["facts_recalled"], BY_NAME["latency_ms"], BY_NAME["tokens"]


def taken(
    values: NDArray[np.float64], measure: str = "facts_recalled", known: NDArray[np.bool_] | None = None
) -> Taken:
    below = np.ones(len(values)) if known is None else known.astype(float)
    return Taken(BY_NAME[measure], values * below, below)


def told(rng: np.random.Generator, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of two facts a question, the share that is told."""
    return rng.binomial(2, np.clip(means, 0, 1)) / 2


def test_a_difference_by_hand() -> None:
    """Four questions of eight get worse by one half, so the mean falls by one quarter."""
    before, after = np.array([1, 1, 1, 1, 0.5, 0.5, 0, 0.0]), np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0, 0])
    found = difference(taken(before), taken(after))
    assert found is not None
    assert (found.before, found.after, found.value, found.of) == (0.625, 0.375, -0.25, 8)
    assert -0.5 <= found.low < -0.25 < found.high <= 0


def test_95_percent_intervals_cover_the_truth() -> None:
    rng, inside, runs = np.random.default_rng(1), 0, 600
    for _ in range(runs):
        found = score(taken(told(rng, np.full(60, 0.8))))
        inside += found.low <= 0.8 <= found.high
    assert 0.92 <= inside / runs <= 0.98


def test_the_gate_gives_false_alarm_in_about_one_case_of_forty_at_margin_0() -> None:
    """A measure that did not change; hard questions are hard for both sides."""
    rng, runs = np.random.default_rng(2), 1200
    alarms = {0.0: 0, 0.02: 0}
    for _ in range(runs):
        ease = rng.uniform(0.5, 1, 120)
        before, after = taken(told(rng, ease)), taken(told(rng, ease))
        for margin in alarms:
            found = difference(before, after, margin)
            alarms[margin] += found is not None and found.verdict == "worse"
    assert 0.012 <= alarms[0.0] / runs <= 0.040
    assert alarms[0.02] / runs <= 0.012


@pytest.mark.parametrize(("kept", "power"), [(0.0, 0.5), (0.7, 0.9)])
def test_the_gate_finds_a_true_drop_of_a_tenth_at_120_questions(kept: float, power: float) -> None:
    """With the default margin. ``kept``: the share of answers that the new checkpoint gives as the old one did; where
    all are drawn anew, chance hides about half of such drops, and 250 questions are needed to find nine of ten."""
    rng, runs, found = np.random.default_rng(3), 300, 0
    for _ in range(runs):
        before = told(rng, np.full(120, 0.8))
        anew = told(rng, np.full(120, 0.8 - 0.1 / (1 - kept)))
        after = np.where(rng.random(120) < kept, before, anew)
        one = difference(taken(before), taken(after), 0.02)
        found += one is not None and one.verdict == "worse"
    assert found / runs >= power


def test_few_refusals_give_few_false_alarms() -> None:
    """25 questions that the docs do not hold, 9 of 10 refused by both."""
    rng, runs, alarms = np.random.default_rng(4), 1200, 0
    for _ in range(runs):
        sides = [taken((rng.random(25) < 0.9).astype(float), "refusal_recall") for _ in range(2)]
        one = difference(*sides, margin=0.02)
        alarms += one is not None and one.verdict == "worse"
    assert alarms / runs <= 0.04


def test_where_all_is_alike_nothing_is_certain() -> None:
    ones = np.ones(20)
    assert (score(taken(ones)).low, score(taken(ones)).high) == (stats.share(20, 20).low, 1.0)
    same = difference(taken(ones), taken(ones))
    assert same
    assert same.verdict == "open"
    assert same.low == -same.high == pytest.approx(-(1 - binomtest(20, 20).proportion_ci().low))
    lost = difference(taken(ones), taken(0 * ones))
    assert lost
    assert lost.verdict == "worse"
    assert (lost.value, lost.low) == (-1.0, -1.0)
    few, enough = (difference(taken(ones[:count]), taken(0 * ones[:count])) for count in (5, 6))
    assert few
    assert enough
    assert (few.verdict, enough.verdict) == ("open", "worse")  # as with a sign test of so many


def test_less_is_better_where_it_is() -> None:
    rng = np.random.default_rng(5)
    loops = taken((rng.random(120) < 0.3).astype(float), "degenerate")
    none = taken(np.zeros(120), "degenerate")
    worse, better = difference(none, loops), difference(loops, none)
    assert worse
    assert better
    assert (worse.verdict, better.verdict) == ("worse", "better")
    assert worse.value > 0
    length = difference(taken(np.zeros(30), "length_ratio"), taken(np.full(30, math.log(0.4)), "length_ratio"))
    assert length
    assert length.verdict == ""
    assert (length.before, length.after) == (1.0, pytest.approx(0.4))
    halves = taken(np.log([0.5, 2.0] * 10), "length_ratio")  # geometric: half and double as long weigh alike
    assert score(halves).value == pytest.approx(1.0)


def test_a_time_is_the_middle_one() -> None:
    values = np.append(np.linspace(100, 300, 41), 9_000.0)
    found = score(taken(values, "latency_ms"))
    assert found.value == np.median(values)
    assert 150 < found.low < found.value < found.high < 260
    assert found.p95 == np.percentile(values, 95)
    later = difference(taken(values, "latency_ms"), taken(values + 500, "latency_ms"))
    assert later
    assert (later.value, later.verdict) == (500.0, "worse")


def test_the_same_runs_give_the_same_figures_and_a_side_may_lack_some() -> None:
    rng = np.random.default_rng(6)
    values, known = rng.random(80), rng.random(80) < 0.5
    half = taken(values, known=known)
    assert score(half).of == known.sum()
    assert score(half).value == pytest.approx(values[known].mean())
    assert score(half, 1) == score(half, 1) != score(half, 2)
    assert difference(half, taken(values, known=np.zeros(80, bool))) is None
    assert score(taken(values, known=np.zeros(80, bool))).value is None
    assert draws(80, 0).sum(axis=1).tolist() == [80.0] * len(draws(80, 0))


def test_measures_are_read_off_answers() -> None:
    def of(name: str, **fields: object) -> tuple[float, float]:
        return BY_NAME[name].of(Result.model_validate({"id": "q", "arm": "rag", **fields}))

    assert of("facts_recalled", facts_recalled=0.5) == (0.5, 1)
    assert of("facts_recalled") == (0, 0)
    assert of("refusal_precision", refused=True, answerable=False) == (1, 1)
    assert of("refusal_precision", refused=True, answerable=True) == (0, 1)
    assert of("refusal_precision", refused=False, answerable=False) == (0, 0)
    assert of("refusal_recall", refused=False, answerable=False) == (0, 1)
    assert of("refusal_recall", refused=True, answerable=True) == (0, 0)
    assert of("length_ratio", length=50, reference_length=200, answerable=True) == (math.log(0.25), 1)
    assert of("length_ratio", length=50, reference_length=200, answerable=True, refused=True) == (0, 0)
    assert of("degenerate", degenerate="loop") == (1, 1)
    assert of("degenerate", degenerate="") == (0, 1)
    assert of("degenerate") == (0, 0)  # an older run did not measure it
    assert len(BY_NAME) == len(MEASURES)
