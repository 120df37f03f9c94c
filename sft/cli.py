"""`docduet sft`: datasets from the page store; fine-tuning has its commands in training/cli_*.py."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from sft.training.cli_doctor import doctor
from sft.training.cli_fetch import fetch
from sft.training.cli_plan import plan
from sft.training.cli_runs import compare, export, plot
from sft.training.cli_train import train

if TYPE_CHECKING:
    from data.settings import Settings
    from data.store import PageStore
    from data.types import Page
    from rag.embed import Embedder
    from sft.card import Facts
    from sft.config import SftConfig
    from sft.imports.writer import ImportWriter
    from sft.mixture import Mixture
    from sft.previous import Diff
    from sft.tokens import Counter
    from sft.types import Writer


class Show(Protocol):
    """Progress: the stage, what is done, of how much (0: not known), and a note in place of a count of samples."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


app = typer.Typer(
    help="Pages in, training data and fine-tuned models out.", no_args_is_help=True, rich_markup_mode="markdown"
)

SHOWN = 20
STAGES = {"teach": "Asking the teacher", "draft": "Writing samples", "mix": "Mixing", "write": "Writing the dataset"}


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
    teacher: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A model writes the samples: an OpenAI-compatible server, such as vLLM."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The teacher's model; default: the only one it has.")] = None,
    teacher_key_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="Environment variable that holds the teacher's key.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Calls to the teacher at the same time; default 32.")
    ] = None,
    think_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the teacher's answers that think first; default 0.")
    ] = None,
    rewrites: Annotated[
        int | None, typer.Option(min=1, max=8, help="Questions asked about one fact, in different words; default 2.")
    ] = None,
    judge: Annotated[
        bool | None, typer.Option("--judge/--no-judge", help="The teacher checks each answer; default: it does.")
    ] = None,
    with_rules: Annotated[bool, typer.Option(help="Add what the rules write to what the teacher writes.")] = False,
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
    """Turn the synced pages into a dataset for ms-swift and LLaMA-Factory: by rules, or with a teacher model.

    With a teacher every call is kept: run the same command again after a stop, and it goes on where it was.

    Examples:

        docduet sft build --out datasets/first

        docduet sft build --out datasets/zh --lang zh --mixture article-short --eval-set held-out.jsonl

        docduet sft build --out datasets/first --dry-run --json

        docduet sft build --out datasets/first --import faq.csv --column question=Frage --column answer=Antwort

        docduet sft build --out datasets/next --diff datasets/first --dry-run

        docduet sft build --out datasets/taught --teacher http://127.0.0.1:8000/v1 --model Qwen/Qwen3-8B --dry-run
    """
    from data.store import PageStore
    from data.types import Filters
    from sft.build import build as build_dataset
    from sft.config import SftConfig
    from sft.imports.columns import parse_column_options
    from sft.imports.writer import ImportWriter
    from sft.mixture import load_mixture
    from sft.tokens import load_counter

    settings: Settings = ctx.obj
    given = {
        "mixture": mixture,
        "max_length": max_length,
        "teacher": teacher,
        "teacher_model": model,
        "teacher_key_env": teacher_key_env,
        "concurrency": concurrency,
        "think_share": think_share,
        "rewrites": rewrites,
        "judge": judge,
    }
    config = settings.table(SftConfig)
    config = config.model_copy(update={key: value for key, value in given.items() if value is not None})
    folder = tokenizer or (Path(config.tokenizer).expanduser() if config.tokenizer else None)
    shares, counter = load_mixture(config.mixture), load_counter(folder)
    store = PageStore(settings.home.pages)
    pages = list(store.pages(Filters(lang=lang)))
    embedder = _embedder(settings) if embed else None
    files = [settings.home.feedback if str(path) == "feedback" else path for path in imports or ()]
    columns = parse_column_options(column or ())
    changed = _changes(store, diff, ImportWriter(files, columns)) if diff else None
    if changed and dry_run:
        _print_changes(changed, as_json)
        return
    with _progress() as progress:
        writers = _writers(settings, config, shares, counter, embedder, limit, with_rules, progress)
        if config.teacher and dry_run:
            _estimate(writers[0], pages, as_json)
            return
        facts = build_dataset(
            pages,
            [*writers, *([ImportWriter(files, columns, lang)] if files else [])],
            shares,
            counter,
            config.max_length,
            None if dry_run else out,
            eval_sets=eval_set or (),
            base_answers=base_answers,
            embedder=embedder,
            val_share=config.val_share,
            limit=limit,
            diff=changed,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(facts.as_dict(), ensure_ascii=False, indent=2))
        return
    _print(facts, None if dry_run else out)


def _writers(
    settings: Settings,
    config: SftConfig,
    mixture: Mixture,
    counter: Counter,
    embedder: Embedder | None,
    limit: int,
    with_rules: bool,
    progress: Show,
) -> list[Writer]:
    """The rules; with a teacher the teacher, and the rules where they are wanted too."""
    from sft.rules.writer import RuleWriter

    rules = RuleWriter(config.product, config.rewrites)
    if not config.teacher:
        return [rules]
    from rag.config import RagConfig
    from sft.gates import standard_gates
    from sft.teacher.client import Patience
    from sft.teacher.flows import Settings as Teaching
    from sft.teacher.writer import Asking, TeacherWriter

    rag = settings.table(RagConfig)
    asking = Asking(
        url=config.teacher,
        cache=settings.home.cache / "teacher.sqlite",
        concurrency=config.concurrency,
        key=_key(config.teacher_key_env),
        limit=limit,
        max_length=config.max_length,
        chunk_tokens=rag.chunk_tokens,
        whole_tokens=rag.whole_tokens,
        patience=Patience(config.teacher_timeout_s),
    )
    teaching = Teaching(config.teacher_model, config.product, config.rewrites, config.think_share, config.judge)
    taught = TeacherWriter(
        asking,
        teaching,
        mixture,
        standard_gates(counter, config.max_length, embedder),
        announce=lambda estimate: typer.echo(f"The teacher: {estimate}", err=True),
        progress=lambda usage, total: progress("teach", usage.done, total, usage.told(total)),
    )
    return [taught, rules] if with_rules else [taught]


def _key(variable: str) -> str:
    """The key in the environment variable ``variable``; "" where none is named."""
    import os

    from data.errors import ConfigError

    if variable and not os.environ.get(variable):
        raise ConfigError(f"the environment variable {variable} holds no key for the teacher: set it, or name another")
    return os.environ.get(variable, "") if variable else ""


def _estimate(writer: Writer, pages: Iterable[Page], as_json: bool) -> None:
    """What a teacher would be asked, without asking it."""
    from sft.teacher.writer import TeacherWriter

    assert isinstance(writer, TeacherWriter)
    estimate = writer.estimate(sorted(pages, key=lambda page: page.url))
    typer.echo(json.dumps(estimate.as_dict(), indent=2) if as_json else f"The teacher would be asked: {estimate}")


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
def _progress() -> Iterator[Show]:
    """A line on stderr that says what is being done; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading pages", total=None, note="")

        def show(stage: str, done: int, total: int, note: str = "") -> None:
            said = note or (f"{done:,} samples" if done else "")
            bar.update(task, description=STAGES[stage], completed=done, total=total or None, note=said)

        yield show


for command in (doctor, fetch, plan, train, plot, export, compare):
    app.command()(command)
