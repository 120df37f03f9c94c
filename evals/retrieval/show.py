"""What `docduet eval run --retrieval` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from evals.retrieval.bench import Report


def chosen(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The systems to run, in a fixed order; all of them when none is named."""
    from data.errors import ConfigError

    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"unknown system {unknown[0]!r}: choose from {', '.join(known)}")
    return [name for name in known if not wanted or name in wanted]


def print_scores(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{report.set}: {report.pages} pages, {report.chunks} chunks, embedder {report.embedder}",
        title_justify="left",
    )
    heads = ("hit@1", "hit@5", "hit@10", "MRR@10", "nDCG@10", "answer@5", "p50 ms", "p95 ms")
    table.add_column("", no_wrap=True)
    table.add_column("system", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for lang in report.langs():
        for n, name in enumerate(report.outcomes):
            scores = report.scores(name, lang)
            shares = (scores.hit_at_1, scores.hit_at_5, scores.hit_at_10, scores.mrr_at_10, scores.ndcg_at_10)
            cells = [f"{value:.3f}" for value in (*shares, scores.answer_at_5)]
            times = [f"{scores.p50_ms:.1f}", f"{scores.p95_ms:.1f}"]
            table.add_row(f"{lang} ({scores.questions})" if n == 0 else "", name, *cells, *times)
        table.add_section()
    Console(width=None if Console().is_terminal else 120).print(table)


def print_misses(report: Report, name: str) -> None:
    """What was asked, where the answer is, and what came first instead."""
    missed = [outcome for outcome in report.outcomes[name] if (outcome.rank or 99) > 5]
    typer.echo(f"\n{name} misses {len(missed)} of {len(report.outcomes[name])} questions in the first five:")
    for outcome in missed:
        question = outcome.question
        typer.echo(f"\n{question.id} (rank {outcome.rank or 'none'}): {question.question}")
        typer.echo(f"  answered by {', '.join(question.pages)}")
        typer.echo(f"  found       {', '.join(outcome.pages[:3]) or 'nothing'}")
