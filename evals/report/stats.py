"""The statistics of the report, by scipy and statsmodels. Pure, and seeded where they draw.

Everything is two-sided, at 95 %. A tie counts as half a win in a share; a test and a number of votes needed look at the
votes for one side alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evals.report.results import ByUser, EqualLength, Share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000
DRAWS = 4_000_000  # of users in all resamples together: 0.1 s
FEWEST_USERS = 5
"""With fewer people, nothing can be said about people who have not voted."""
FEWEST_VOTES = 20
"""With fewer, no curve is fitted through them."""


def share(wins: float, of: float) -> Share:
    """``wins`` of ``of`` with Wilson's score interval (JASA 22, 1927). Ties may be halves: then it is a little wide."""
    from statsmodels.stats.proportion import proportion_confint

    if not of:
        return Share(None, 0.0, 1.0, 0)
    low, high = proportion_confint(wins, of, alpha=1 - LEVEL, method="wilson")
    return Share(wins / of, max(0.0, float(low)), min(1.0, float(high)), of)


def sign_test(wins: int, losses: int) -> float:
    """The probability of a result at least as uneven, were both equally good: exact binomial test of the sign test.

    Both tails are alike at one half, so it is twice one of them: scipy's binomtest looks for the other one, 2 ms each.
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment for looking many times (Scandinavian Journal of Statistics 6, 1979).

    As statsmodels' multipletests, which collects all garbage of the process each time: 0.24 s in a gateway.
    """
    import numpy as np

    found = np.array(p_values, dtype=float)
    order = np.argsort(found, kind="stable")
    steps = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    found[order] = np.minimum(steps, 1.0)
    return [float(p) for p in found]


def by_user(points: NDArray[np.float64], users: NDArray[np.int64], seed: int = 0) -> ByUser | None:
    """The share of ``points`` (1, 0.5 or 0 a vote) with an interval that holds for other people too.

    Whole users are drawn with replacement, and the percentiles are widened for few of them by Student's t (Hesterberg,
    "What Teachers Should Know About the Bootstrap", 2015, section 5.3). Where all of them vote alike, drawing tells
    nothing: then Wilson's interval, of the votes, or of the people where all votes are the same. ``users``: a number
    for each. None for fewer than FEWEST_USERS; with that few, some 90 % of the intervals hold instead of 95 %.
    """
    import numpy as np

    _, codes = np.unique(users, return_inverse=True)
    votes = np.bincount(codes).astype(float)
    count = len(votes)
    if count < FEWEST_USERS:
        return None
    sums = np.bincount(codes, weights=points)
    drawn = np.random.default_rng(seed).integers(0, count, (max(500, min(RESAMPLES, DRAWS // count)), count))
    shares = sums[drawn].sum(axis=1) / votes[drawn].sum(axis=1)
    low, high = np.quantile(shares, [cut := tail(count), 1 - cut])
    value = float(points.mean())
    if np.ptp(sums / votes) < 1e-12:
        of = count if np.ptp(points) < 1e-12 else len(points)
        alike = share(value * of, of)
        low, high = alike.low, alike.high
    return ByUser(value, float(low), float(high), len(points), count, float(shares.var()))


@lru_cache(1024)
def tail(count: int) -> float:
    """What to cut off at each side, for ``count`` things drawn: less than 2.5 % where they are few."""
    from scipy.stats import norm, t

    return float(norm.cdf(-math.sqrt(count / (count - 1)) * t.ppf((1 + LEVEL) / 2, count - 1)))


def equal_length(
    points: NDArray[np.float64], log_ratio: NDArray[np.float64], users: NDArray[np.int64]
) -> EqualLength | None:
    """The win rate if both answers were equally long: logistic regression of the vote on log(length / length).

    As in length-controlled AlpacaEval (Dubois et al., arXiv 2404.04475). Standard errors are clustered by user where
    there are enough, and never below those of single votes: few clusters that agree would make them nothing. None
    where the votes do not carry a curve: too few, all for one side, lengths all alike, or the longer (or shorter)
    answer always won.
    """
    import numpy as np
    from scipy.special import expit
    from scipy.stats import norm, t

    if len(points) < FEWEST_VOTES or np.ptp(log_ratio) < 1e-9 or _separated(points, log_ratio):
        return None
    people = len(np.unique(users))
    clustered = people >= FEWEST_USERS
    fitted = _logistic(points, log_ratio, users if clustered else None)
    at, slope = (float(value) for value in fitted.params)
    error, slope_error = np.maximum(fitted.bse, np.sqrt(np.diag(fitted.normalized_cov_params)))
    if not fitted.converged or not np.isfinite([error, slope_error]).all() or error > 5 or slope_error > 50:
        return None
    likely = t(people - 1) if clustered else norm
    reach = float(likely.ppf((1 + LEVEL) / 2)) * error
    value, low, high = (float(expit(end)) for end in (at, at - reach, at + reach))
    return EqualLength(value, low, high, len(points), slope, float(2 * likely.sf(abs(slope) / slope_error)))


def _separated(points: NDArray[np.float64], log_ratio: NDArray[np.float64]) -> bool:
    """Whether all is alike, or a ratio parts all wins from all losses (a tie is half of each): no curve fits best."""
    won, lost = log_ratio[points > 0], log_ratio[points < 1]
    if not len(won) or not len(lost) or points.max() == points.min():
        return True
    return bool(won.min() >= lost.max() or lost.min() >= won.max())


def _logistic(points: NDArray[np.float64], log_ratio: NDArray[np.float64], users: NDArray[np.int64] | None) -> Any:
    """``users``: by whom errors are clustered."""
    import warnings

    import numpy as np
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    clustered = {} if users is None else {"cov_type": "cluster", "cov_kwds": {"groups": users}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of curves that hardly fit, which the caller sees by the errors
        return GLM(points, np.column_stack([np.ones(len(points)), log_ratio]), family=Binomial()).fit(**clustered)


@lru_cache(64)
def votes_needed(share: float = 0.6, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest votes for one side with which a sign test tells ``share`` from one half with probability ``power``.

    Exact, over both tails of the binomial distribution. ``share`` above 0.5.
    """
    import numpy as np

    size = 256
    while True:
        counts = np.arange(1, size)
        enough = np.flatnonzero(sign_test_power(counts, share, alpha) >= power)
        if len(enough):
            return int(counts[enough[0]])
        size *= 2


def sign_test_power(counts: Any, share: float, alpha: float = 0.05) -> Any:
    """How probably a sign test of ``counts`` votes (an array) tells ``share`` from one half."""
    import numpy as np
    from scipy.stats import binom

    most = binom.ppf(alpha / 2, counts, 0.5)
    most = np.where(binom.cdf(most, counts, 0.5) <= alpha / 2, most, most - 1)
    return binom.cdf(most, counts, share) + binom.sf(counts - most - 1, counts, share)


def unvaried(value: float, count: int) -> tuple[float, float]:
    """The interval of a paired difference where all ``count`` questions differ alike, by ``value``: drawing tells
    nothing. Others may differ by anything from -1 to 1; how many of them is bounded exactly (Clopper and Pearson), so
    that one to five questions prove nothing, as with a sign test."""
    alike = 0.025 ** (1 / count)
    return max(-1.0, value * alike - (1 - alike)), min(1.0, value * alike + (1 - alike))


def mean_interval(values: Sequence[float], seed: int = 0) -> Share:
    """The mean of ``values`` (each 0 to 1, one a question) with its bootstrap interval over questions."""
    import numpy as np

    points = np.asarray(values, dtype=float)
    if not len(points):
        return Share(None, 0.0, 1.0, 0)
    found = by_user(points, np.arange(len(points)), seed)
    mean = float(points.mean())
    if found is None or points.max() == points.min():  # all alike: drawing again tells nothing
        return share(mean * len(points), len(points))
    return Share(mean, max(0.0, found.low), min(1.0, found.high), len(points))
