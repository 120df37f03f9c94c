"""A run of general ability as a table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evals.general.paired import ALL, Difference
from evals.general.results import GeneralRun, Task

if TYPE_CHECKING:
    from rich.table import Table


def table(run: GeneralRun) -> Table:
    """Right answers of each arm task by task; of each arm after the first, what was gained and lost."""
    from rich.table import Table

    arms = list(run.arms)
    found = Table(title=f"General ability ({run.suite})", title_justify="left")
    found.add_column("task", no_wrap=True)
    for arm in arms:
        found.add_column(arm, justify="right", no_wrap=True)
    for arm in arms[1:]:
        found.add_column(f"{arm} - {arms[0]}, points", justify="right", no_wrap=True)
        found.add_column("gained/lost", justify="right", no_wrap=True)
        found.add_column("p", justify="right", no_wrap=True)
    told = {(each.after, each.task): each for each in run.differences}
    for task in sorted({task for tasks in run.arms.values() for task in tasks}):
        found.add_row(task, *(_share(run.arms[arm].get(task)) for arm in arms), *_cells(told, arms[1:], task))
    found.add_section()
    found.add_row(ALL, *(_share(_total(run.arms[arm])) for arm in arms), *_cells(told, arms[1:], ALL))
    return found


def verdict(each: Difference) -> str:
    """One sentence: worse, better, or not told apart."""
    points = f"{each.delta * 100:+.1f} points [{each.low * 100:+.1f}, {each.high * 100:+.1f}], p {each.p:.3f}"
    if each.verdict == "open":
        return f"{each.after} against {each.before}: no difference is proven ({points})."
    told = "better" if each.verdict == "gained" else "worse"
    return f"{each.after} is {told} than {each.before} in general ability ({points})."


def _cells(told: dict[tuple[str, str], Difference], arms: list[str], task: str) -> list[str]:
    cells = []
    for arm in arms:
        each = told.get((arm, task))
        if each is None:
            cells += ["", "", ""]
        else:
            interval = f"[{each.low * 100:+.1f}, {each.high * 100:+.1f}]"
            cells += [f"{each.delta * 100:+.1f} {interval}", f"{each.gained}/{each.lost}", f"{each.p:.3f}"]
    return cells


def _share(task: Task | None) -> str:
    return f"{task.right}/{task.of} {task.score:.0%}" if task else ""


def _total(tasks: dict[str, Task]) -> Task | None:
    right, of = sum(task.right for task in tasks.values()), sum(task.of for task in tasks.values())
    return Task(score=right / of, of=of, right=right) if of else None
