"""`docduet sft`: datasets from the page store; fine-tuning has its commands in training/cli_*.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sft.training.cli_doctor import doctor
from sft.training.cli_fetch import fetch
from sft.training.cli_plan import plan
from sft.training.cli_runs import compare, export, plot
from sft.training.cli_train import train

if TYPE_CHECKING:
    from data.settings import Settings
    from data.store import PageStore
    from sft.card import Facts
    from sft.imports.writer import ImportWriter
    from sft.previous import Diff

app = typer.Typer(
    help="Pages in, training data and fine-tuned models out.", no_args_is_help=True, rich_markup_mode="markdown"
)

SHOWN = 20
STAGES = {"draft": "Writing samples", "mix": "Mixing", "write": "Writing the dataset"}


@app.callback()
def root() -> None:
    """Pages in, training data and fine-tuned models out."""


@app.command()
def build(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the dataset; an older dataset there is replaced at the end.")],
    mixture: Annotated[
        str | None, typer.Option(help="A preset's name or a .yaml file; default from docduet.toml (balanced).")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most this many samples; 0: as many as there are.")] = 0,
    dry_run: Annotated[bool, typer.Option(help="Make everything, say what it would be, write nothing.")] = False,
    lang: Annotated[str, typer.Option(help="Only pages in this language: en or zh.")] = "",
    max_length: Annotated[
        int | None, typer.Option(min=64, help="Longest conversation in tokens; default from docduet.toml (4096).")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the model to train: counts tokens with its tokenizer.")
    ] = None,
    eval_set: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Keep the questions of this file out; may be repeated.")
    ] = None,
    imports: Annotated[
        list[Path] | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Your own questions and answers or tickets (.csv, .xlsx, .jsonl, .json), or feedback: what was "
            "corrected in the chat; may be repeated.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=COLUMN", help="Which column of an imported file is which; may be repeated."),
    ] = None,
    diff: Annotated[
        Path | None,
        typer.Option(metavar="OLD", help="Keep this dataset's samples but those of changed pages; write these anew."),
    ] = None,
    base_answers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='The base model\'s own answers ("answer" a line): compare lengths.'),
    ] = None,
    embed: Annotated[bool, typer.Option(help="Also compare by meaning, with [rag] embedder: slower.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Turn the synced pages into a dataset for ms-swift and LLaMA-Factory, by rules, without a model.

    Examples:

        docduet sft build --out datasets/first

        docduet sft build --out datasets/zh --lang zh --mixture article-short --eval-set held-out.jsonl

        docduet sft build --out datasets/first --dry-run --json

        docduet sft build --out datasets/first --import faq.csv --column question=Frage --column answer=Antwort

        docduet sft build --out datasets/next --diff datasets/first --dry-run
    """
    from data.store import PageStore
    from data.types import Filters
    from sft.build import build as build_dataset
    from sft.config import SftConfig
    from sft.imports.columns import parse_column_options
    from sft.imports.writer import ImportWriter
    from sft.mixture import load_mixture
    from sft.rules.writer import RuleWriter
    from sft.tokens import load_counter

    settings: Settings = ctx.obj
    config = settings.table(SftConfig)
    folder = tokenizer or (Path(config.tokenizer).expanduser() if config.tokenizer else None)
    shares, counter = load_mixture(mixture or config.mixture), load_counter(folder)
    store = PageStore(settings.home.pages)
    files = [settings.home.feedback if str(path) == "feedback" else path for path in imports or ()]
    columns = parse_column_options(column or ())
    changed = _changes(store, diff, ImportWriter(files, columns)) if diff else None
    if changed and dry_run:
        _print_changes(changed, as_json)
        return
    with _progress() as progress:
        facts = build_dataset(
            store.pages(Filters(lang=lang)),
            [RuleWriter(config.product, config.rewrites), *([ImportWriter(files, columns, lang)] if files else [])],
            shares,
            counter,
            max_length or config.max_length,
            None if dry_run else out,
            eval_sets=eval_set or (),
            base_answers=base_answers,
            embedder=_embedder(settings) if embed else None,
            val_share=config.val_share,
            limit=limit,
            diff=changed,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(facts.as_dict(), ensure_ascii=False, indent=2))
        return
    _print(facts, None if dry_run else out)


def _embedder(settings: Settings):  # type: ignore[no-untyped-def]
    from rag.config import RagConfig
    from rag.embed import load_embedder

    return load_embedder(settings.table(RagConfig).embedder)


def _changes(store: PageStore, old: Path, imported: ImportWriter) -> Diff:
    """What has changed since ``old`` was built, by all pages that are synced and all files that are given again."""
    from sft.previous import compare, read_previous

    previous, pages = read_previous(old), list(store.pages())
    anew: dict[str, set[str]] = {name: set() for name in imported.generators}
    for sample in imported.drafts(pages):
        anew[sample.generator].add(sample.id)
    return compare(previous, pages, {name: frozenset(ids) for name, ids in anew.items()})


def _print_changes(diff: Diff, as_json: bool) -> None:
    found = diff.as_dict()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for page in found["pages"]:
        typer.echo(f"{page['change']:8} {page['samples']:5}  {page['url']}")
    for sample in found["samples"][:SHOWN]:
        typer.echo(f"  {sample['split']:5} {sample['shape']:15} {sample['why']:22} {sample['question'][:70]}")
    more = len(found["samples"]) - SHOWN
    if more > 0:
        typer.echo(f"  ... and {more} more (--json lists all)")
    lost, pages = len(found["samples"]), len(found["pages"])
    typer.echo(f"{pages} pages changed, came or went; {lost} samples no longer hold, {found['kept']} are kept")


def _print(facts: Facts, out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("shape", *(head for head in ("samples", "tokens", "wanted", "got")), title_justify="left")
    total = sum(facts.mixed.tokens.values()) or 1
    counts = facts.as_dict()["samples"]
    assert isinstance(counts, dict)
    for shape, share in facts.wanted.items():
        tokens = facts.mixed.tokens.get(shape, 0)
        table.add_row(shape, str(counts.get(shape, 0)), f"{tokens:,}", share, f"{tokens / total:.1%}")
    Console(width=None if Console().is_terminal else 100).print(table)
    gates = ", ".join(f"{gate} {count}" for gate, count in facts.reject_counts.items()) or "none"
    typer.echo(f"Turned down: {gates}")
    for warning in facts.warnings():
        typer.secho(f"note: {warning}", fg="yellow", err=True)
    made = f"{len(facts.split.train)} samples to train on, {len(facts.split.val)} to validate with"
    where = f"in {out}: read {out}/card.md" if out else "would be written (--dry-run)"
    typer.echo(f"{made}, {where} ({facts.seconds:.1f} s)")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A line on stderr that says what is being done; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} samples"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading pages", total=None)

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=STAGES[stage], **({"completed": done} if done else {}))  # type: ignore[arg-type]

        yield show


for command in (doctor, fetch, plan, train, plot, export, compare):
    app.command()(command)
