"""Intervals over questions: bootstrap (Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13).

Questions are drawn with replacement. A difference is paired: both sides answer the same draw, so that what a hard
question costs both is no difference (Koehn, "Statistical Significance Tests for Machine Translation Evaluation", EMNLP
2004; Berg-Kirkpatrick et al., "An Empirical Investigation of Statistical Significance in NLP", EMNLP 2012). The
percentiles are widened for few questions as in evals/report/stats.py. Seeded: the same runs give the same figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evals.report import stats
from evals.runs import Result
from evals.scorecard.measures import Measure
from evals.scorecard.results import Difference, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST = 5
"""With fewer questions, nothing is drawn: then a difference is never proven."""
SAME = 1e-12


@dataclass(frozen=True)
class Taken:
    """A measure of the answers to some questions, in their order: what each adds above and below the fraction line."""

    measure: Measure
    above: Floats
    below: Floats

    @classmethod
    def of(cls, measure: Measure, results: Sequence[Result]) -> Taken:
        import numpy as np

        pairs = np.array([measure.of(result) for result in results], dtype=float).reshape(-1, 2)
        return cls(measure, pairs[:, 0], pairs[:, 1])

    @property
    def count(self) -> int:
        """Of how many questions it was taken."""
        return int((self.below > 0).sum())

    @property
    def values(self) -> Any:
        """Of those questions."""
        there = self.below > 0
        return self._shown(self.above[there] / self.below[there])

    def value(self) -> float:
        import numpy as np

        if self.measure.form == "ms":
            return float(np.median(self.values))
        return float(self._shown(self.above.sum() / self.below.sum()))

    def _shown(self, mean: Any) -> Any:
        """The geometric mean of the mean of logarithms, where the measure is a ratio."""
        import numpy as np

        return np.exp(mean) if self.measure.form == "ratio" else mean

    def drawn(self, seed: int) -> Any:
        """The value in every resample; NaN where a resample holds none of it."""
        import numpy as np

        weights = draws(len(self.above), seed)
        if self.measure.form == "ms":
            return _medians(self.values, weights[:, self.below > 0])
        below = weights @ self.below
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._shown(np.where(below > 0, (weights @ self.above) / below, np.nan))


@lru_cache(4)  # up to 32 MB each; parts and contrasts come one after the other
def draws(count: int, seed: int) -> Floats:
    """How often each of ``count`` questions is in each resample: resamples x count."""
    import numpy as np

    resamples = max(500, min(stats.RESAMPLES, stats.DRAWS // count))
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples).astype(float)


def _medians(values: Floats, weights: Floats) -> Floats:
    """Of each resample: the least value at which half of what was drawn is reached."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    half = reached[:, -1:] / 2
    found: Floats = np.where(half[:, 0] > 0, values[order][np.argmax(reached >= half, axis=1)], np.nan)
    return found


def score(taken: Taken, seed: int = 0) -> Score:
    """The measure with its interval: that of `docduet eval run` for shares, Wilson's where a question counts whole."""
    import numpy as np

    count, form = taken.count, taken.measure.form
    if not count:
        return Score(None)
    value, values = taken.value(), taken.values
    if form in ("share", "part"):
        found = stats.mean_interval(values, seed) if form == "share" else stats.share(value * count, count)
        return Score(value, found.low, found.high, count)
    p95 = float(np.percentile(values, 95)) if form == "ms" else None
    few = count < FEWEST or np.ptp(values) < SAME
    low, high = (float(values.min()), float(values.max())) if few else _ends(taken.drawn(seed), count)
    return Score(value, max(0.0, low), high, count, p95)


def difference(before: Taken, after: Taken, margin: float = 0.0, seed: int = 0) -> Difference | None:
    """Paired: both over the same questions, in the same order. None where one side was not measured.

    The verdict is "worse" or "better" where the whole interval lies beyond ``margin``.
    """
    import numpy as np

    count = min(before.count, after.count)
    if not count:
        return None
    first, second, measure = before.value(), after.value(), before.measure
    value = second - first
    drawn = after.drawn(seed) - before.drawn(seed)
    if count < FEWEST or np.ptp(drawn[~np.isnan(drawn)]) < SAME:
        low, high = stats.unvaried(value, count) if measure.share else _unbounded(value, count)
    else:
        low, high = _ends(drawn, count)
    verdict = _verdict(low * measure.better, high * measure.better, margin) if measure.better else ""
    return Difference(measure.name, first, second, value, low, high, count, verdict)


def _ends(drawn: Floats, count: int) -> tuple[float, float]:
    import numpy as np

    cut = stats.tail(count)
    low, high = np.nanquantile(drawn, [cut, 1 - cut])
    return float(low), float(high)


def _unbounded(value: float, count: int) -> tuple[float, float]:
    """Of what has no bounds, where all questions differ alike or there are too few to draw from."""
    return (float("-inf"), float("inf")) if count < FEWEST else (value, value)


def _verdict(low: float, high: float, margin: float) -> str:
    """``low``, ``high``: of the difference, or of its opposite where less is better."""
    ends = sorted((low, high))
    return "worse" if ends[1] < -margin else "better" if ends[0] > margin else "open"
