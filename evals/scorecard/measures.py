"""What a scorecard measures, read off the answers of a run. Pure.

Each is a mean over the questions that it was taken of: the geometric mean where it is a ratio, the median where it is a
time. A field that a run does not hold was not measured; it is not 0. Formulas are those of evals/answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from evals.runs import Result

Counted = tuple[float, float]
"""What a question adds above and below the fraction line."""
NOTHING: Counted = (0.0, 0.0)


@dataclass(frozen=True)
class Measure:
    """``form``: "share" (0 to 1 a question), "part" (0 or 1), "ratio", "count" or "ms". ``better``: 1 where more is
    better, -1 where less is, 0 where neither is. ``gated``: a new run that is worse may not pass."""

    name: str
    form: str
    better: int
    gated: bool
    of: Callable[[Result], Counted]

    @property
    def share(self) -> bool:
        """Whether it is shown in per cent."""
        return self.form in ("share", "part")


def _field(name: str) -> Callable[[Result], Counted]:
    def of(result: Result) -> Counted:
        value = getattr(result, name)
        return NOTHING if value is None else (float(value), 1.0)

    return of


def _told(name: str) -> Callable[[Result], Counted]:
    """Whether a text field says anything, where the run has the field."""

    def of(result: Result) -> Counted:
        return (float(bool(getattr(result, name))), 1.0) if name in result.model_fields_set else NOTHING

    return of


def _refusal_precision(result: Result) -> Counted:
    """Of the refusals, those of questions that the docs do not answer."""
    judged = result.refused and result.answerable is not None
    return (float(result.answerable is False), 1.0) if judged else NOTHING


def _refusal_recall(result: Result) -> Counted:
    """Of the questions that the docs do not answer, those that were refused."""
    return (float(result.refused), 1.0) if result.answerable is False else NOTHING


def _length_ratio(result: Result) -> Counted:
    """Logarithm of characters of the answer / of the reference (the driblet index), where one was due and given."""
    if not result.lengths:
        return NOTHING
    length, reference = result.lengths
    return (math.log(max(1, length) / reference), 1.0)


def _tokens(result: Result) -> Counted:
    """Of answers that an engine counted."""
    return (float(result.tokens), 1.0) if result.tokens else NOTHING


MEASURES = (
    Measure("facts_recalled", "share", 1, True, _field("facts_recalled")),
    Measure("completeness", "share", 1, True, _field("completeness")),
    Measure("faithful", "share", 1, True, _field("faithful")),
    Measure("citation_precision", "share", 1, True, _field("citation_precision")),
    Measure("citation_recall", "share", 1, True, _field("citation_recall")),
    Measure("refusal_precision", "part", 1, True, _refusal_precision),
    Measure("refusal_recall", "part", 1, True, _refusal_recall),
    Measure("judge", "share", 1, False, _field("judge")),
    Measure("degenerate", "part", -1, True, _told("degenerate")),
    Measure("degraded", "part", -1, True, _told("degraded")),
    Measure("failed", "part", -1, True, _told("failed")),
    Measure("length_ratio", "ratio", 0, False, _length_ratio),
    Measure("tokens", "count", 0, False, _tokens),
    Measure("first_ms", "ms", -1, False, _field("first_ms")),
    Measure("latency_ms", "ms", -1, False, _field("latency_ms")),
)
BY_NAME = {measure.name: measure for measure in MEASURES}
