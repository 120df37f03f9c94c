"""What `docduet eval run --set` prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evals.answers.summary import Figures
from evals.report.results import Share
from evals.runs import EvalRun

ROWS = {
    "facts_recalled": "facts recalled",
    "completeness": "steps in order",
    "faithful": "faithful to the pages",
    "citation_precision": "citation precision",
    "citation_recall": "citation recall",
    "refusal_precision": "refusal precision",
    "refusal_recall": "refusal recall",
    "length_ratio": "length / reference",
    "short": "under half the reference",
    "chrf": "chrF",
    "degenerate": "degenerate answers",
    "degraded": "without the model",
    "failed": "failed",
}
TIMES = {"first_ms": "first word, ms", "latency_ms": "whole answer, ms"}


def print_run(run: EvalRun, figures: Mapping[str, Figures], path: Path) -> None:
    """A column an arm, with intervals; times as p50 / p95."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    questions = len({result.id for result in run.results})
    title = f"{escape(run.label)}: {questions} questions (95 % intervals)"
    table = Table("", *figures, title=title, title_justify="left")
    for name, words in ROWS.items():
        if any(found.shares[name].value is not None for found in figures.values()):
            table.add_row(words, *(_share(found.shares[name]) for found in figures.values()))
    for name, words in TIMES.items():
        ends = [(found.times[f"{name}_p50"], found.times[f"{name}_p95"]) for found in figures.values()]
        table.add_row(words, *(f"{low:,.0f} / {high:,.0f}" if low and high else "–" for low, high in ends))
    table.add_row("tokens", *(f"{f.tokens_mean:,.0f}" if f.tokens_mean else "–" for f in figures.values()))
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(table)
    console.print(f"Saved to {path}", markup=False, soft_wrap=True)


def _share(found: Share) -> str:
    return "–" if found.value is None else f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"
