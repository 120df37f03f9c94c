"""General ability: what the models can do apart from the docs, of the files that `docduet eval general` saves.

They belong to the evaluation run of the same label; without a label, to the only run that there is.

It is a model's, not a voice's: `rag` writes with the model of `base`, `sft-rag` with that of `sft`. The score over all
tasks is the share of all items that are right, with Wilson's interval. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from evals.general.results import GeneralRun, Task
from evals.report import stats
from evals.scorecard.results import Abilities, Column, Score

MODELS = {"rag": "base", "sft-rag": "sft"}
"""The arm that is the same model alone."""


def abilities(columns: Sequence[Column], labels: Sequence[Collection[str]], general: Sequence[GeneralRun]) -> Abilities:
    """Of each column, out of the newest results with one of its ``labels``.

    Scores of different items do not compare: those are shown that most columns have, then the probes, then those with
    the most items.
    """
    asked = [run for run in general for n, column in enumerate(columns) if _asked(column, labels[n], run)]
    if not asked:
        return Abilities(total=tuple(Score(None) for _ in columns), models=tuple("" for _ in columns))
    columns_with = Counter(run.items for run in asked)
    shown = max(asked, key=lambda run: (columns_with[run.items], run.suite == "probes", _size(run), run.started_at))
    same = (run for run in general if run.items == shown.items)
    newest = sorted(same, key=lambda run: run.started_at, reverse=True)
    found: list[tuple[str, Mapping[str, Task]]] = []
    for column, fitting in zip(columns, labels, strict=True):
        runs = ((name, run) for run in newest if (name := _asked(column, fitting, run)))
        name, run = next(runs, ("", None))
        found.append((name, run.arms[name] if run else {}))
    names = sorted({task for _, tasks in found for task in tasks})
    return Abilities(
        shown.suite,
        {name: tuple(_score([tasks[name]] if name in tasks else []) for _, tasks in found) for name in names},
        tuple(_score(list(tasks.values())) for _, tasks in found),
        tuple(name for name, _ in found),
    )


def _asked(column: Column, labels: Collection[str], run: GeneralRun) -> str:
    """The arm of ``run`` that is this column's model, or ""."""
    if column.quoting or run.label not in labels:
        return ""
    return next((name for name in (column.arm, MODELS.get(column.arm, "")) if run.arms.get(name)), "")


def _size(run: GeneralRun) -> int:
    """Items that an arm was asked."""
    return max(sum(task.of for task in tasks.values()) for tasks in run.arms.values())


def _score(tasks: Sequence[Task]) -> Score:
    of = sum(task.of for task in tasks)
    if not of:
        return Score(None)
    found = stats.share(sum(min(task.of, task.right) for task in tasks), of)
    return Score(found.value, found.low, found.high, of)
