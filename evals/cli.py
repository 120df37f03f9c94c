"""`docduet eval`: measure, with question sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from data.settings import Settings
    from evals.retrieval import Report

app = typer.Typer(help="Question sets, scores and scorecards.", no_args_is_help=True, rich_markup_mode="markdown")

SQUAD_SAMPLE = 400
"""Questions taken of a set that brings its own pages, unless --sample says otherwise: those sets are large."""

STAGES = {"chunk": "Cutting pages", "embed": "Embedding chunks", "write": "Writing the index"}


@app.callback()
def root() -> None:
    """Question sets, scores and scorecards."""


@app.command()
def run(
    ctx: typer.Context,
    retrieval: Annotated[
        str,
        typer.Option(
            metavar="SET",
            help="Measure retrieval with this set: a .jsonl or SQuAD .json file, or a name, such as feedback.",
        ),
    ],
    corpus: Annotated[Path | None, typer.Option(help="The folder of docs that the set asks about.")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave these pages out, on top of what the set leaves out.")
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(help="Only these systems: hybrid, bm25, dense, bigram, bigram-pages, llamaindex."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=0, help=f"Number of questions drawn; 0: all; SQuAD sets: {SQUAD_SAMPLE}.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which sample is drawn.")] = 0,
    misses: Annotated[
        bool, typer.Option(help="List the questions that the first system does not hit in five.")
    ] = False,
    chart: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Save a bar chart.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print scores and every question's rank as JSON.")] = False,
) -> None:
    """Compare ways of finding the right page: ours, its two sides alone, plain BM25, and LlamaIndex's stock pipeline.

    The corpus is indexed in a place of its own: your index stays as it is.

    Examples:

        docduet eval run --retrieval ms-swift-docs --corpus ms-swift-docs/ --chart hits.png

        docduet eval run --retrieval cmrc2018_dev.json --sample 0 --json

        docduet eval run --retrieval feedback
    """
    from evals.questions import load_set
    from evals.retrieval import prepare
    from evals.systems import NAMES
    from rag.config import RagConfig

    settings: Settings = ctx.obj
    names = _systems(system or (), NAMES)
    questions = load_set(retrieval, settings.home).findable()
    size = (SQUAD_SAMPLE if questions.corpus else 0) if sample is None else sample
    questions = questions.sample(size, seed)
    with _progress() as report_progress:
        bench = prepare(
            questions, corpus, exclude or (), settings.home.cache, settings.table(RagConfig), report_progress
        )
        report = bench.report(questions, str(corpus or questions.name), names, report_progress)
    if chart:
        from evals.chart import save_chart

        save_chart(report, chart)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False, indent=2))
        return
    _print_scores(report)
    if misses:
        _print_misses(report, names[0])


def _systems(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The systems to run, in a fixed order; all of them when none is named."""
    from data.errors import ConfigError

    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"unknown system {unknown[0]!r}: choose from {', '.join(known)}")
    return [name for name in known if not wanted or name in wanted]


def _print_scores(report: Report) -> None:
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


def _print_misses(report: Report, name: str) -> None:
    """What was asked, where the answer is, and what came first instead."""
    missed = [outcome for outcome in report.outcomes[name] if (outcome.rank or 99) > 5]
    typer.echo(f"\n{name} misses {len(missed)} of {len(report.outcomes[name])} questions in the first five:")
    for outcome in missed:
        question = outcome.question
        typer.echo(f"\n{question.id} (rank {outcome.rank or 'none'}): {question.question}")
        typer.echo(f"  answered by {', '.join(question.pages)}")
        typer.echo(f"  found       {', '.join(outcome.pages[:3]) or 'nothing'}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for whatever is being done; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Starting", total=None)

        def show(stage: str, done: int, total: int) -> None:
            progress.update(task, description=STAGES.get(stage, stage), completed=done, total=total)

        yield show
