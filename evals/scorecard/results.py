"""What a scorecard says, as frozen dataclasses; `as_dict` is its JSON. Shares are 0 to 1, times are in ms."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Column:
    """One arm of one run. ``label``: tells the runs apart, empty where there is one. ``quoting``: no model writes; the
    best passages are quoted. ``questions``: how many it answered. ``color``: the same for the same voice; ``newest``:
    no later run has this voice. ``fallbacks``: why passages were quoted in the place of an answer -> how often."""

    arm: str
    label: str
    set: str
    file: str
    started_at: str
    questions: int
    quoting: bool = False
    model: str = ""
    checkpoint: str = ""
    checkpoint_step: int | None = None
    dataset_sha256: str = ""
    base_model: str = ""
    generation: str = ""
    color: int = 0
    newest: bool = True
    fallbacks: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """A measure over ``of`` questions with its 95 % interval; the median where it is a time, with ``p95``. None: not
    measured."""

    value: float | None
    low: float = 0.0
    high: float = 1.0
    of: int = 0
    p95: float | None = None


@dataclass(frozen=True)
class Part:
    """Some of the questions: ``by`` is "all", "lang" or "kind". ``scores``: measure -> one a column."""

    by: str
    value: str
    questions: int
    scores: dict[str, tuple[Score, ...]]


@dataclass(frozen=True)
class Difference:
    """A measure, before and after, over the questions that both answered; ``value`` is after - before with its 95 %
    interval (paired bootstrap). ``verdict``: "better", "worse" or "open"; "" where neither direction is better."""

    measure: str
    before: float
    after: float
    value: float
    low: float
    high: float
    of: int
    verdict: str


@dataclass(frozen=True)
class Contrast:
    """Two columns (by number) over the ``questions`` that both answered. ``kind``: "run" (one arm, before and after) or
    "arm" (two arms)."""

    before: int
    after: int
    kind: str
    questions: int
    differences: tuple[Difference, ...]

    def of(self, measure: str) -> Difference | None:
        return next((found for found in self.differences if found.measure == measure), None)


@dataclass(frozen=True)
class AbilityChange:
    """What the model of column ``after`` has right against that of ``before``, over the ``of`` items that both were
    asked (evals/general/paired.py): shares, the difference with its 95 % interval, items that one alone has right,
    McNemar's ``p``. ``verdict``: "gained", "lost" or "open"."""

    before: int
    after: int
    first: float
    second: float
    value: float
    low: float
    high: float
    gained: int
    lost: int
    of: int
    p: float
    verdict: str


@dataclass(frozen=True)
class Abilities:
    """General ability: task -> one score a column, and over all tasks. ``suite``: "probes", "evalscope", or "" where it
    was not measured. ``models``: the arm whose model was asked, for each column. ``changes``: between two models that
    are compared, of a trained one first."""

    suite: str = ""
    tasks: dict[str, tuple[Score, ...]] = field(default_factory=dict)
    total: tuple[Score, ...] = ()
    models: tuple[str, ...] = ()
    changes: tuple[AbilityChange, ...] = ()


@dataclass(frozen=True)
class Side:
    """One column's answer to a question. ``score``: 0 to 1, see worst.py. ``missing``: facts that it does not say."""

    column: int
    answer: str
    score: float
    refused: bool
    facts_recalled: float | None
    completeness: float | None
    degraded: str
    degenerate: str
    missing: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Worst:
    """A question that was answered badly."""

    id: str
    question: str
    lang: str
    kind: str
    answerable: bool | None
    sides: tuple[Side, ...]


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one measure of one arm: ``difference`` is new - baseline."""

    arm: str
    label: str
    difference: Difference


@dataclass(frozen=True)
class Skipped:
    """What the gate could not compare: an arm that only ``file`` has, or measures that only one of both runs has."""

    arm: str
    file: str
    measures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """``failures``: measures that are worse by more than ``margin``, beyond chance. ``skipped``: not compared."""

    baseline: str
    margin: float
    compared: tuple[Verdict, ...]
    failures: tuple[Verdict, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(frozen=True)
class Scorecard:
    """Everything. ``sentence``: what the first contrast proves; ``peer``: whether the models beat quoting the docs, ""
    where the first contrast says it or nothing does; ``limits``: what nothing here proves; all by language.
    ``comparisons``: differences that were tested. ``problems``: what could not be used, each a sentence."""

    columns: tuple[Column, ...]
    parts: tuple[Part, ...]
    contrasts: tuple[Contrast, ...]
    abilities: Abilities
    worst: tuple[Worst, ...]
    sentence: dict[str, str]
    peer: dict[str, str]
    limits: dict[str, str]
    comparisons: int
    problems: tuple[str, ...] = ()
    gate: Gate | None = None
    seed: int = 0
    made_at: float = 0.0

    @property
    def all(self) -> Part:
        """All questions."""
        return self.parts[0]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: an end of an interval that nothing bounds is null."""
        found = asdict(self)
        if self.gate:
            found["gate"]["passed"] = self.gate.passed
        return {"object": "eval_scorecard", **_bounded(found)}


def _bounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
