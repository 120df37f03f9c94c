"""`docduet eval make`: let a teacher draft a question set from the synced pages."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.settings import Settings
    from data.types import Page
    from evals.drafts.make import Drafted, Search
    from evals.model import Model


def make(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE.jsonl", help="The set to write; an existing file stays.")],
    pages: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Ask about these pages only, such as 'en/*.md'.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=5000, help="Number of questions.")] = 50,
    teacher_url: Annotated[
        str, typer.Option(metavar="URL", help="The teacher, /v1; default: `teacher` in [sft] of docduet.toml.")
    ] = "",
    teacher_model: Annotated[str, typer.Option(help="Its model; default: as configured, or the only one it has.")] = "",
    teacher_key_env: Annotated[
        str, typer.Option(metavar="VAR", help="Environment variable that holds the teacher's key.")
    ] = "",
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Ask nothing that is asked in this .jsonl file, nor in DOCDUET_HOME/datasets.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which parts of the pages come first.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Calls to the teacher at the same time.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draft an evaluation set from the synced pages with a teacher model; a person reads it before it is used.

    Every fact is looked for in its page, every question compared with the others and with training data. Replies are
    kept as they come: after Ctrl-C or a crash the same command goes on where it was.

    Examples:

        docduet eval make --out drafts.jsonl --teacher-url http://127.0.0.1:8000/v1

        docduet eval make --out drafts.jsonl --pages 'zh/*' --n 80 --against datasets/handbook/train.jsonl
    """
    from data.errors import ConfigError
    from evals.drafts.alike import datasets, trained_on
    from evals.drafts.make import Plan, write_set
    from evals.drafts.make import make as drafted
    from evals.progress import progress

    settings: Settings = ctx.obj
    if out.exists():
        raise ConfigError(f"{out} is there already, and somebody may have reviewed it: give another --out")
    model = _teacher(settings, teacher_url, teacher_model, teacher_key_env, concurrency)
    found = _pages(settings, pages or ())
    trained = list(trained_on([*(against or ()), *datasets(settings.home.root / "datasets")]))
    plan = Plan(found, n, _search(settings), trained, seed)
    try:
        with progress() as told:
            made = drafted(plan, model, told)
    except KeyboardInterrupt:
        typer.echo("Stopped. What was drafted is kept: the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    if not made.questions:
        raise ConfigError(f"no draft could be used ({_reasons(made)}): try a larger teacher, or more pages")
    write_set(out, made)
    _show(made, out, as_json)


def _teacher(settings: Settings, url: str, name: str, key_env: str, concurrency: int) -> Model:
    """The teacher of the options, else of [sft]. evals may not import sft: the table is read by its name."""
    from data.chat.client import Role
    from data.errors import ConfigError
    from evals.model import Model, key_in

    config: Any = settings.tables()["sft"]
    address = url or config.teacher
    if not address:
        raise ConfigError(
            "no teacher: give the address of an OpenAI-compatible server with --teacher-url http://HOST:PORT/v1, or as "
            "`teacher` in [sft] of docduet.toml; without one, write the questions by hand (see the handbook's page on "
            "evaluation)"
        )
    role = Role("teacher", "--teacher-url", "--teacher-model", "--teacher-key-env")
    key = key_in(key_env or ("" if url else config.teacher_key_env), "--teacher-key-env")
    named = name or ("" if url else config.teacher_model)
    return Model(address, named, key, settings.home.cache / "drafts.sqlite", role, concurrency)


def _pages(settings: Settings, patterns: Sequence[str]) -> list[Page]:
    from data.errors import ConfigError, EmptySourceError
    from data.store import PageStore

    found = list(PageStore(settings.home.pages).pages())
    if not found:
        raise EmptySourceError("there are no synced pages to ask about: run `docduet sync SOURCE`")
    chosen = [page for page in found if not patterns or any(fnmatch(page.url, pattern) for pattern in patterns)]
    if not chosen:
        raise ConfigError(f"no page matches {', '.join(patterns)}; there are {len(found)}, such as {found[0].url}")
    return chosen


def _search(settings: Settings) -> Search:
    """What the docs have for a question, by the live index. Raises NoIndexError: before a teacher is paid."""
    from rag.config import RagConfig
    from rag.live import LiveIndex

    retriever = LiveIndex(settings.home, settings.table(RagConfig)).retriever()
    return lambda question: retriever.search(question)


def _show(made: Drafted, out: Path, as_json: bool) -> None:
    if as_json:
        kinds = [question.kind for question in made.questions]
        body = {
            "file": str(out),
            "questions": len(kinds),
            "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
            "dropped": dict(made.dropped),
            "reviewed": False,
        }
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{len(made.questions)} questions in {out}; {made.dropped.total()} drafts dropped ({_reasons(made)}).")
    if len(made.questions) < made.wanted:
        typer.secho(f"The pages gave no more than that: {made.wanted} were wanted.", fg="yellow")
    typer.secho(
        "They are drafts. Read every question, its facts and reference before you measure with them; `doubts` names "
        "sentences that the page does not evidently say. Then set `reviewed` to true.",
        bold=True,
    )


def _reasons(made: Drafted) -> str:
    return ", ".join(f"{gate}: {count}" for gate, count in made.dropped.most_common()) or "none"
