"""General ability: what the models can do apart from the docs. Files DOCDUET_HOME/evals/general/*.json.

    {"object": "eval_general", "label": "step 200", "started_at": "2026-11-26T05:00:00Z", "suite": "probes",
     "arms": {"base": {"arithmetic": {"score": 0.8, "of": 40, "right": 32}}}}

They belong to the evaluation run of the same label; without a label, to the only run that there is.

It is a model's, not a voice's: `rag` writes with the model of `base`, `sft-rag` with that of `sft`. The score over all
tasks is the share of all items that are right, with Wilson's interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from evals.report import stats
from evals.scorecard.results import Abilities, Column, Score

MODELS = {"rag": "base", "sft-rag": "sft"}
"""The arm that is the same model alone."""


class Task(BaseModel):
    """``score``: the share of ``of`` items that is right."""

    model_config = ConfigDict(frozen=True)

    score: Annotated[float, Field(ge=0, le=1)]
    of: int = Field(0, ge=0)
    right: float = Field(0, ge=0)


class GeneralRun(BaseModel):
    """Tasks asked of one or more arms. ``label``: as of the evaluation run that it belongs to."""

    model_config = ConfigDict(frozen=True)

    object: Literal["eval_general"]
    label: str = ""
    started_at: str = ""
    suite: str = ""
    arms: dict[str, dict[str, Task]]
    file: str = ""


def abilities(columns: Sequence[Column], labels: Sequence[Collection[str]], general: Sequence[GeneralRun]) -> Abilities:
    """Of each column, out of the newest results with one of its ``labels``.

    Of several suites that one is shown that most columns have: scores of different suites do not compare.
    """
    suites = Counter(run.suite for run in general for n, column in enumerate(columns) if _asked(column, labels[n], run))
    if not suites:
        return Abilities(total=tuple(Score(None) for _ in columns), models=tuple("" for _ in columns))
    suite = max(suites, key=lambda name: (suites[name], name == "probes"))
    newest = sorted((run for run in general if run.suite == suite), key=lambda run: run.started_at, reverse=True)
    found: list[tuple[str, Mapping[str, Task]]] = []
    for column, fitting in zip(columns, labels, strict=True):
        runs = ((name, run) for run in newest if (name := _asked(column, fitting, run)))
        name, run = next(runs, ("", None))
        found.append((name, run.arms[name] if run else {}))
    names = sorted({task for _, tasks in found for task in tasks})
    return Abilities(
        suite,
        {name: tuple(_score([tasks[name]] if name in tasks else []) for _, tasks in found) for name in names},
        tuple(_score(list(tasks.values())) for _, tasks in found),
        tuple(name for name, _ in found),
    )


def _asked(column: Column, labels: Collection[str], run: GeneralRun) -> str:
    """The arm of ``run`` that is this column's model, or ""."""
    if column.quoting or run.label not in labels:
        return ""
    return next((name for name in (column.arm, MODELS.get(column.arm, "")) if run.arms.get(name)), "")


def _score(tasks: Sequence[Task]) -> Score:
    of = sum(task.of for task in tasks)
    if not of:
        return Score(sum(task.score for task in tasks) / len(tasks) if tasks else None)
    found = stats.share(sum(min(task.of, task.score * task.of) for task in tasks), of)
    return Score(found.value, found.low, found.high, of)
