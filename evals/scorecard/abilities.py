"""General ability: what the models can do apart from the docs, of the files that `docduet eval general` saves.

They belong to the evaluation run of the same label; without a label, to the only run that there is.

It is a model's, not a voice's: `rag` writes with the model of `base`, `sft-rag` with that of `sft`. The score over all
tasks is the share of all items that are right, with Wilson's interval. Two models are compared item by item, as
`docduet eval general` does (evals/general/paired.py). Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from evals.general.paired import differences
from evals.general.results import GeneralRun, Right, Task, right_of
from evals.report import stats
from evals.scorecard.results import Abilities, AbilityChange, Column, Contrast, Score

Source = tuple[str, GeneralRun] | None
"""The arm that was asked, in which results; None: not measured."""
MODELS = {"rag": "base", "sft-rag": "sft"}
"""The arm that is the same model alone."""


def abilities(
    columns: Sequence[Column],
    labels: Sequence[Collection[str]],
    general: Sequence[GeneralRun],
    contrasts: Sequence[Contrast] = (),
) -> Abilities:
    """Of each column, out of the newest results with one of its ``labels``; and of each of the ``contrasts``.

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
    sources: list[Source] = []
    for column, fitting in zip(columns, labels, strict=True):
        runs = ((name, run) for run in newest if (name := _asked(column, fitting, run)))
        sources.append(next(runs, None))
    found: list[Mapping[str, Task]] = [source[1].arms[source[0]] if source else {} for source in sources]
    names = sorted({task for tasks in found for task in tasks})
    return Abilities(
        shown.suite,
        {name: tuple(_score([tasks[name]] if name in tasks else []) for tasks in found) for name in names},
        tuple(_score(list(tasks.values())) for tasks in found),
        tuple(source[0] if source else "" for source in sources),
        _changes(sources, contrasts),
    )


def _changes(sources: Sequence[Source], contrasts: Sequence[Contrast]) -> tuple[AbilityChange, ...]:
    """One for each pair of models; those with a trained model after them first."""
    pairs: dict[tuple[str, ...], Contrast] = {}
    for contrast in contrasts:
        before, after = sources[contrast.before], sources[contrast.after]
        if before and after and before != after:
            pairs.setdefault((before[0], before[1].name, after[0], after[1].name), contrast)
    found = [
        _change(contrast, _right(sources[contrast.before]), _right(sources[contrast.after]))
        for contrast in pairs.values()
    ]
    trained_first = sorted(filter(None, found), key=lambda change: (sources[change.after] or ("",))[0] == "base")
    return tuple(trained_first)


def _right(source: Source) -> Right:
    """Of the source's arm; nothing where the file keeps no answers."""
    name, run = source or ("", None)
    if run is None:
        return {}
    return right_of([answer for answer in run.answers if answer.arm == name]).get(name, {})


def _change(contrast: Contrast, before: Right, after: Right) -> AbilityChange | None:
    """None where no item was asked of both."""
    told = differences("before", "after", {"before": before, "after": after})
    if not told:
        return None
    total = told[0]
    kept = [right for task, items in before.items() for id, right in items.items() if id in after.get(task, {})]
    first = sum(kept) / total.of
    return AbilityChange(
        before=contrast.before,
        after=contrast.after,
        first=first,
        second=first + total.delta,
        value=total.delta,
        low=total.low,
        high=total.high,
        gained=total.gained,
        lost=total.lost,
        of=total.of,
        p=total.p,
        verdict=total.verdict,
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
