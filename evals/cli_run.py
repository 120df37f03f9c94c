"""`docduet eval run`: ask every voice every question of a set (--set), or measure the search alone (--retrieval)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from data.settings import Settings

SQUAD_SAMPLE = 400
"""Questions taken of a set that brings its own pages, unless --sample says otherwise: those sets are large."""


def run(
    ctx: typer.Context,
    set_name: Annotated[
        str,
        typer.Option("--set", metavar="SET", help="Ask a running gateway these questions: a .jsonl file, or a name."),
    ] = "",
    arms: Annotated[str, typer.Option(help="Voices to ask, with commas between: rag,sft,sft-rag,base,auto.")] = "rag",
    gateway: Annotated[
        str, typer.Option(metavar="URL", help="The gateway to ask; default: the one on this machine.")
    ] = "",
    key: Annotated[str, typer.Option(envvar="DOCDUET_API_KEY", help="Your key, where the gateway asks for one.")] = "",
    label: Annotated[str, typer.Option(help="What scorecards call this run; default: the name of the set.")] = "",
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Questions under way at once; 1 for times as one user sees them.")
    ] = 4,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on with a run that was stopped, or begin anew.")
    ] = True,
    retrieval: Annotated[
        str,
        typer.Option(
            metavar="SET",
            help="Measure retrieval alone: a .jsonl or SQuAD .json file, or a name, such as feedback.",
        ),
    ] = "",
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
    seed: Annotated[int, typer.Option(help="Which sample is drawn; engines are given it, too.")] = 0,
    misses: Annotated[
        bool, typer.Option(help="List the questions that the first system does not hit in five.")
    ] = False,
    chart: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Save a bar chart of the search.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure answers (--set, of a running gateway) or the search alone (--retrieval, over an index of its own).

    Every answer is kept as it comes: after Ctrl-C or a crash the same command goes on where it was. The finished run
    lies in DOCDUET_HOME/evals, where the report and the scorecard find it.

    Examples:

        docduet eval run --set handbook --arms rag,sft,sft-rag,base

        docduet eval run --set questions.jsonl --arms rag --gateway https://docs.example.com --sample 50 --json

        docduet eval run --retrieval ms-swift-docs --corpus ms-swift-docs/ --chart hits.png

        docduet eval run --retrieval feedback
    """
    from data.errors import ConfigError

    if bool(set_name) == bool(retrieval):
        raise ConfigError("say what to measure: --set SET for answers, or --retrieval SET for the search alone")
    if set_name:
        _only({"--corpus": corpus, "--exclude": exclude, "--system": system, "--misses": misses, "--chart": chart})
        asked = {"label": label, "concurrency": concurrency, "resume": resume, "seed": seed, "sample": sample or 0}
        _answers(ctx.obj, set_name, arms, gateway, key, as_json, asked)
    else:
        _retrieval(ctx.obj, retrieval, corpus, exclude or (), system or (), sample, seed, misses, chart, as_json)


def _only(given: dict[str, Any]) -> None:
    from data.errors import ConfigError

    stray = next((name for name, value in given.items() if value), None)
    if stray:
        raise ConfigError(f"{stray} is for --retrieval: a gateway answers from its own index")


def _answers(
    settings: Settings, name: str, arms: str, url: str, key: str, as_json: bool, asked: dict[str, Any]
) -> None:
    """Ask, measure, save, print. Exit code 130 where it was stopped: what was answered is kept."""
    from evals.answers.connection import gateway_here
    from evals.answers.run import Plan, evaluate
    from evals.answers.show import print_run
    from evals.answers.summary import summary
    from evals.progress import progress
    from evals.questions import load_set

    wanted = tuple(dict.fromkeys(arm for part in arms.split(",") if (arm := part.strip())))
    plan = Plan(load_set(name, settings.home), wanted, url or gateway_here(settings), key, **asked)
    try:
        with progress() as told:
            run, path = evaluate(plan, settings, told)
    except KeyboardInterrupt:
        typer.echo("Stopped. What was answered is kept: the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    figures = summary(run.results, run.seed)
    if as_json:
        said = {arm: figure.as_dict() for arm, figure in figures.items()}
        typer.echo(json.dumps({"arms": said, "run": str(path)}, ensure_ascii=False, indent=2))
        return
    print_run(run, figures, path)


def _retrieval(
    settings: Settings,
    name: str,
    corpus: Path | None,
    exclude: Sequence[str],
    system: Sequence[str],
    sample: int | None,
    seed: int,
    misses: bool,
    chart: Path | None,
    as_json: bool,
) -> None:
    from evals.progress import progress
    from evals.questions import load_set
    from evals.retrieval.bench import prepare
    from evals.retrieval.show import chosen, print_misses, print_scores
    from evals.retrieval.systems import NAMES
    from rag.config import RagConfig

    names = chosen(system, NAMES)
    questions = load_set(name, settings.home).findable()
    size = (SQUAD_SAMPLE if questions.corpus else 0) if sample is None else sample
    questions = questions.sample(size, seed)
    with progress() as told:
        bench = prepare(questions, corpus, exclude, settings.home.cache, settings.table(RagConfig), told)
        report = bench.report(questions, str(corpus or questions.name), names, told)
    if chart:
        from evals.retrieval.chart import save_chart

        save_chart(report, chart)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False, indent=2))
        return
    print_scores(report)
    if misses:
        print_misses(report, names[0])
