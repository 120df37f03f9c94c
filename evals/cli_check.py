"""`docduet eval check SET`: whether a question set agrees with its pages and with itself, before it measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from data.settings import Settings
    from data.types import Page
    from evals.questions import QuestionSet


def check(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SET", help="A .jsonl file, or a name, such as handbook.")],
    corpus: Annotated[
        Path | None, typer.Option(help="The folder of docs that the set asks about; default: the synced pages.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print problems and counts as JSON.")] = False,
) -> None:
    """Find what is wrong with a question set: missing pages, wrong quotations, facts that no right answer would state.

    Exits with 1 when there is a problem.

    Examples:

        docduet eval check handbook

        docduet eval check questions.jsonl --corpus docs/ --json
    """
    from evals.check import counts, problems
    from evals.questions import load_set

    settings: Settings = ctx.obj
    questions = load_set(name, settings.home)
    found = problems(questions, _corpus(settings, questions, corpus))
    numbers = counts(questions)
    if as_json:
        said = [{"id": problem.id, "text": problem.text} for problem in found]
        typer.echo(json.dumps({"set": questions.name, "questions": numbers, "problems": said}, ensure_ascii=False))
    else:
        for lang, kinds in numbers.items():
            each = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
            typer.echo(f"{lang}: {sum(kinds.values())} questions ({each})")
        for problem in found:
            typer.echo(f"{problem.id}: {problem.text}")
        typer.echo(f"{len(found)} problems" if found else "No problems found.")
    if found:
        raise typer.Exit(1)


def _corpus(settings: Settings, questions: QuestionSet, folder: Path | None) -> list[Page]:
    """The pages that the set asks about: of ``folder``, its own ones, or all that are synced."""
    from tempfile import TemporaryDirectory

    from data.config import DataConfig
    from data.store import PageStore
    from data.sync import sync_source

    folder = folder or questions.folder
    if questions.corpus and folder is None:
        return list(questions.corpus)
    if folder is None:
        return list(PageStore(settings.home.pages).pages())
    with TemporaryDirectory(prefix="docduet-check-") as scratch:
        store = PageStore(Path(scratch) / "pages.sqlite")
        sync_source(str(folder), store, DataConfig())
        return list(store.pages())
