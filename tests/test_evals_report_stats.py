"""The report's statistics: against published worked examples, and by simulation: 95 % intervals cover 93 to 97 %."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from evals.report import stats


@pytest.mark.parametrize(
    ("wins", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_newcombe_has_it(wins: int, of: int, low: float, high: float) -> None:
    """Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I,
    method 3."""
    found = stats.share(wins, of)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert found.value == wins / of


def test_wilson_as_agresti_and_coull_have_it() -> None:
    """9 of 10: "Approximate is better than exact", The American Statistician 52 (1998), table of score intervals."""
    found = stats.share(9, 10)
    assert (round(found.low, 4), round(found.high, 4)) == (0.5958, 0.9821)


def test_wilson_of_all_or_none_by_its_closed_form() -> None:
    """Of none of n the upper end is z² / (n + z²)."""
    reach = 1.959964**2 / (10 + 1.959964**2)
    assert (stats.share(0, 10).low, stats.share(0, 10).high) == pytest.approx((0.0, reach))
    assert (stats.share(10, 10).low, stats.share(10, 10).high) == pytest.approx((1 - reach, 1.0))


def test_nothing_counted_says_nothing() -> None:
    assert stats.share(0, 0) == stats.Share(None, 0.0, 1.0, 0)


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (8, 2, 0.109375),  # Zar, "Biostatistical Analysis" (1999), hind and fore legs of ten deer
        (8, 1, 0.0390625),  # Conover, "Practical Nonparametric Statistics" (1999), ten shoppers, one of them undecided
        (0, 0, 1.0),
    ],
)
def test_sign_test_as_the_textbooks_have_it(wins: int, losses: int, p: float) -> None:
    assert stats.sign_test(wins, losses) == pytest.approx(p)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (3, 3), (4, 3), (0, 40), (512, 488), (9_700, 10_300)])
def test_sign_test_is_the_exact_binomial_test(wins: int, losses: int) -> None:
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert stats.sign_test(wins, losses) == pytest.approx(expected, rel=1e-9)


def test_the_power_of_the_test_and_the_votes_needed() -> None:
    """A one-sided 5 % design of A'Hern's exact tables (Statistics in Medicine 20, 2001): 37 to tell 0.7 from 0.5 with a
    power of 80 %; the textbooks' normal approximation; and simulated votes."""
    assert stats.votes_needed(0.7, power=0.8, alpha=0.10) == 37
    needed = stats.votes_needed(0.6)
    rng = np.random.default_rng(0)
    wins = rng.binomial(needed, 0.6, 4000)
    told = np.mean([stats.sign_test(int(count), needed - int(count)) < 0.05 for count in wins[:1500]])
    assert told == pytest.approx(0.8, abs=0.03)
    textbook = (1.96 * 0.5 + 0.8416 * np.sqrt(0.6 * 0.4)) ** 2 / 0.1**2  # normal approximation: 194
    assert needed == pytest.approx(textbook, rel=0.04)


def test_holm_as_statsmodels_has_it() -> None:
    values = list(np.random.default_rng(1).uniform(0, 0.2, 25))
    assert stats.adjusted(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert stats.adjusted([]) == []


def test_wilson_covers_what_it_says() -> None:
    """93 to 97 % on average over true shares, at several counts (single shares swing: Agresti and Coull 1998)."""
    rng = np.random.default_rng(2)
    for of in (10, 30, 100, 400):
        shares = rng.uniform(0.1, 0.9, 4000)
        wins = rng.binomial(of, shares)
        known = {count: stats.share(count, of) for count in range(of + 1)}
        covered = np.mean([known[w].low <= p <= known[w].high for w, p in zip(wins, shares, strict=True)])
        assert 0.93 <= covered <= 0.97, of


def test_ties_as_halves_never_cover_less() -> None:
    rng = np.random.default_rng(3)
    outcomes = rng.multinomial(60, [0.4, 0.3, 0.3], 2000)  # wins, losses, ties: a true rate of 0.55
    found = [stats.share(wins + ties / 2, 60) for wins, _, ties in outcomes]
    assert np.mean([share.low <= 0.55 <= share.high for share in found]) >= 0.95


@pytest.mark.parametrize("people", [12, 40])
def test_over_people_covers_where_the_naive_interval_does_not(people: int) -> None:
    """People differ (Beta(3, 2): 0.6 on average), and vote 5 to 40 times each."""
    rng = np.random.default_rng(4)
    over_people, naive = 0, 0
    trials = 600
    for trial in range(trials):
        counts = rng.integers(5, 41, people)
        users = np.repeat(np.arange(people), counts)
        points = rng.binomial(1, rng.beta(3, 2, people)[users]).astype(float)
        found = stats.by_user(points, users, seed=trial)
        assert found
        over_people += found.low <= 0.6 <= found.high
        plain = stats.share(points.sum(), len(points))
        naive += plain.low <= 0.6 <= plain.high
    assert 0.93 <= over_people / trials <= 0.97
    assert naive / trials < 0.8


def test_too_few_people_say_nothing_about_others() -> None:
    assert stats.by_user(np.ones(40), np.repeat(np.arange(4), 10)) is None


def test_people_who_all_vote_alike_do_not_make_others_certain() -> None:
    """Each votes once for one side: the interval is Wilson's of the people, and covers what it says."""
    found = stats.by_user(np.ones(30), np.repeat(np.arange(10), 3))
    assert found
    assert (found.low, found.high) == (stats.share(10, 10).low, stats.share(10, 10).high)
    rng, covered = np.random.default_rng(7), 0
    for trial in range(400):
        points = rng.binomial(1, 0.9, 12).astype(float)
        once = stats.by_user(points, np.arange(12), seed=trial)
        assert once
        covered += once.low <= 0.9 <= once.high
    assert covered / 400 >= 0.93


def test_at_equal_length_takes_the_love_of_length_away() -> None:
    """The truth: 0.5 at equal length, longer answers win more, and the first voice's are longer: it wins 0.66."""
    rng = np.random.default_rng(5)
    covered, trials, raw = 0, 200, 0.0
    for _ in range(trials):
        ratio = rng.normal(0.7, 0.6, 300)
        points = rng.binomial(1, 1 / (1 + np.exp(-1.2 * ratio))).astype(float)
        found = stats.equal_length(points, ratio, np.arange(300))
        assert found
        assert found.slope > 0
        covered += found.low <= 0.5 <= found.high
        raw += points.mean() / trials
    assert raw > 0.65
    assert 0.92 <= covered / trials <= 0.98


def test_no_curve_through_votes_that_do_not_carry_one() -> None:
    ratio = np.random.default_rng(6).normal(0, 1, 40)
    assert stats.equal_length(np.ones(40), ratio, np.arange(40)) is None
    assert stats.equal_length(np.tile([0.0, 1.0], 20), np.zeros(40), np.arange(40)) is None
    assert stats.equal_length((ratio > 0).astype(float), ratio, np.arange(40)) is None, "separated"
    assert stats.equal_length(np.tile([0.0, 1.0], 5), ratio[:10], np.arange(10)) is None
    some = np.arange(40) % 10
    for wins in (1, 20, 39):
        longest = (ratio >= np.sort(ratio)[-wins]).astype(float)
        assert stats.equal_length(longest, ratio, some) is None, "separated, with several votes each"
        longest[np.argsort(ratio)[-wins]] = 0.5
        assert stats.equal_length(longest, ratio, some) is None, "with a tie between them"


def test_a_curve_is_never_surer_than_single_votes_make_it() -> None:
    """Few people who agree leave errors of clusters near nothing."""
    rng = np.random.default_rng(8)
    for _ in range(60):
        ratio = rng.normal(0, 0.3, 25)
        points = (ratio > 0).astype(float)
        points[rng.integers(25, size=2)] = 0.5
        found = stats.equal_length(points, ratio, np.arange(25) % 5)
        assert found is None or found.high - found.low > 0.2
