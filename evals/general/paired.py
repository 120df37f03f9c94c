"""Before against after, item by item: what was gained and lost, with an interval and an exact test. Pure, and seeded.

`docduet eval general` and the scorecard both tell forgetting by this. The test is McNemar's (Psychometrika 12, 1947),
exact: of the items that one model alone has right, a sign test (Dietterich, "Approximate Statistical Tests", Neural
Computation 10, 1998, recommends it for two models on one test set).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from evals.report import stats

RESAMPLES = 10_000
FEWEST = 5
"""With fewer items, drawing tells nothing."""
ALL = "all"
"""The task that is all tasks together."""

Verdict = Literal["gained", "lost", "open"]


class Difference(BaseModel):
    """``delta``: share right after less share right before, with its 95 % interval over items. ``gained``, ``lost``:
    items right in one of the two only. ``p``: McNemar's; of single tasks adjusted for looking at all of them (Holm)."""

    model_config = ConfigDict(frozen=True)

    before: str
    after: str
    task: str
    delta: float
    low: float
    high: float
    gained: int
    lost: int
    of: int
    p: float

    @property
    def verdict(self) -> Verdict:
        """Proven where the test says so and the interval leaves out no difference."""
        if self.p >= 1 - stats.LEVEL or self.low <= 0 <= self.high:
            return "open"
        return "gained" if self.delta > 0 else "lost"


def differences(before: str, after: str, right: Mapping[str, Mapping[str, Mapping[str, bool]]]) -> list[Difference]:
    """Over all tasks together first, then task by task. ``right``: arm -> task -> item id -> whether it is right; items
    that one of the two arms was not asked do not count."""
    tasks = sorted(set(right[before]) & set(right[after]))
    pairs = {task: _outcomes(right[before][task], right[after][task]) for task in tasks}
    every = [outcome for outcomes in pairs.values() for outcome in outcomes]
    found = [_difference(before, after, task, pairs[task]) for task in tasks if pairs[task]]
    adjusted = stats.adjusted([each.p for each in found]) if found else []
    found = [each.model_copy(update={"p": p}) for each, p in zip(found, adjusted, strict=True)]
    return [_difference(before, after, ALL, every), *found] if every else []


def _outcomes(before: Mapping[str, bool], after: Mapping[str, bool]) -> list[int]:
    """Of each item 1 (gained), -1 (lost) or 0."""
    return [int(after[item]) - int(before[item]) for item in before if item in after]


def _difference(before: str, after: str, task: str, outcomes: list[int]) -> Difference:
    gained, lost, of = outcomes.count(1), outcomes.count(-1), len(outcomes)
    low, high = _interval(gained, lost, of)
    return Difference(
        before=before,
        after=after,
        task=task,
        delta=(gained - lost) / of,
        low=low,
        high=high,
        gained=gained,
        lost=lost,
        of=of,
        p=stats.sign_test(gained, lost),
    )


def _interval(gained: int, lost: int, of: int) -> tuple[float, float]:
    """Percentile bootstrap over items, widened for few of them (stats.tail)."""
    import numpy as np

    if of < FEWEST or of in (gained, lost, of - gained - lost):
        return stats.unvaried((gained - lost) / of, of)
    shares = np.array([gained, lost, of - gained - lost]) / of
    drawn = np.random.default_rng(0).multinomial(of, shares, RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / of, [stats.tail(of), 1 - stats.tail(of)])
    return float(low), float(high)
