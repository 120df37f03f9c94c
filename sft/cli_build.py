"""`docduet sft build`: from options and docduet.toml to writers, a mixture and one call of sft.build.

What it prints is in cli_show.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sft import cli_show

if TYPE_CHECKING:
    from data.settings import Settings
    from data.store import PageStore
    from data.types import Page
    from rag.embed import Embedder
    from sft.config import SftConfig
    from sft.imports.writer import ImportWriter
    from sft.mixture import Mixture
    from sft.previous import Diff
    from sft.rules.writer import RuleWriter
    from sft.teacher.writer import TeacherWriter
    from sft.tokens import Counter
    from sft.types import Writer

TEACHER, OWN, CHECKS = "A teacher", "Your own questions and answers", "Checks"
"""Panels of the help."""


def build(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the dataset; an older dataset there is replaced at the end.")],
    mixture: Annotated[
        str | None, typer.Option(help="A preset's name or a .yaml file; default from docduet.toml (balanced).")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="At most this many samples (with --diff: in all, kept ones stay); 0: no limit.")
    ] = 0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Write nothing: say what would be made, what a teacher would cost, or what changed."
        ),
    ] = False,
    lang: Annotated[str, typer.Option(help="Only pages in this language: en or zh.")] = "",
    max_length: Annotated[
        int | None, typer.Option(min=64, help="Longest conversation in tokens; default from docduet.toml (4096).")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the model to train: counts tokens with its tokenizer.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            rich_help_panel=TEACHER,
            help="A model writes the samples: an OpenAI-compatible server, such as vLLM.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(rich_help_panel=TEACHER, help="The teacher's model; default: the only one it has.")
    ] = None,
    teacher_key_env: Annotated[
        str | None,
        typer.Option(metavar="VAR", rich_help_panel=TEACHER, help="Environment variable that holds the teacher's key."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, rich_help_panel=TEACHER, help="Calls to the teacher at the same time; default 32."
        ),
    ] = None,
    think_share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, rich_help_panel=TEACHER, help="Share of the teacher's answers that think first; default 0."
        ),
    ] = None,
    rewrites: Annotated[
        int | None, typer.Option(min=1, max=8, help="Questions asked about one fact, in different words; default 2.")
    ] = None,
    paraphrases: Annotated[
        int | None,
        typer.Option(min=0, max=8, help="Other wordings of each question that the rules write; default 1."),
    ] = None,
    val_share: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.5,
            help="Share of the samples set aside for validation, as whole pages; 0 learns every page. Default 0.05, "
            "with --diff that of the older dataset.",
        ),
    ] = None,
    judge: Annotated[
        bool | None,
        typer.Option(
            "--judge/--no-judge", rich_help_panel=TEACHER, help="The teacher checks each answer; default: it does."
        ),
    ] = None,
    with_rules: Annotated[
        bool,
        typer.Option(
            "--with-rules", rich_help_panel=TEACHER, help="Add what the rules write to what the teacher writes."
        ),
    ] = False,
    eval_set: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", rich_help_panel=CHECKS, help="Keep the questions of this file out; may be repeated."
        ),
    ] = None,
    imports: Annotated[
        list[Path] | None,
        typer.Option(
            "--import",
            metavar="FILE",
            rich_help_panel=OWN,
            help="Your own questions and answers or tickets (.csv, .xlsx, .jsonl, .json), or feedback: also those "
            "corrections from the chat that nobody has decided on; may be repeated.",
        ),
    ] = None,
    feedback: Annotated[
        bool,
        typer.Option(
            "--feedback/--no-feedback",
            rich_help_panel=OWN,
            help="Add the corrections from the chat that were promoted; default: they are.",
        ),
    ] = True,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN",
            rich_help_panel=OWN,
            help="Which column of an imported file is which; may be repeated.",
        ),
    ] = None,
    diff: Annotated[
        Path | None,
        typer.Option(metavar="OLD", help="Keep this dataset's samples but those of changed pages; write these anew."),
    ] = None,
    base_answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=CHECKS,
            help='The base model\'s own answers ("answer" a line): compare lengths.',
        ),
    ] = None,
    embed: Annotated[
        bool,
        typer.Option("--embed", rich_help_panel=CHECKS, help="Also compare by meaning, with [rag] embedder: slower."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Turn the synced pages into a dataset for ms-swift and LLaMA-Factory: by rules, or with a teacher model.

    With a teacher every call is kept: run the same command again after a stop, and it goes on where it was.

    Examples:

        docduet sft build --out datasets/first

        docduet sft build --out datasets/zh --lang zh --mixture article-short --eval-set held-out.jsonl

        docduet sft build --out datasets/first --dry-run --json

        docduet sft build --out datasets/all --val-share 0

        docduet sft build --out datasets/first --import faq.csv --column question=Frage --column answer=Antwort

        docduet sft build --out datasets/next --diff datasets/first --dry-run

        docduet sft build --out datasets/taught --teacher http://127.0.0.1:8000/v1 --model Qwen/Qwen3-8B --dry-run
    """
    from data import corrections
    from data.store import PageStore
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
        "paraphrases": paraphrases,
        "judge": judge,
    }
    config = settings.table(SftConfig)
    config = config.model_copy(update={key: value for key, value in given.items() if value is not None})
    folder = tokenizer or (Path(config.tokenizer).expanduser() if config.tokenizer else None)
    shares, counter = load_mixture(config.mixture), load_counter(folder)
    store = PageStore(settings.home.pages)
    pages = _pages(store, lang)
    embedder = _embedder(settings) if embed else None
    files = [settings.home.feedback if str(path) == "feedback" else path for path in imports or ()]
    columns = parse_column_options(column or ())
    own = settings.home.feedback
    promoted = own if feedback and own not in files and own.is_file() else None
    changed = _changes(store, diff, ImportWriter(files, columns, promoted=promoted), lang) if diff else None
    share = _val_share(val_share, changed, config)
    with cli_show.progress() as show:
        taught = _teacher(settings, config, shares, counter, embedder, limit, show) if config.teacher else None
        if dry_run and (changed or taught):
            cost = taught.estimate(pages, changed.pages if changed else None) if taught else None
            moved = changed.from_validation(changed.kept) if changed and not share else 0
            cli_show.forecast(changed, cost, as_json, moved)
            return
        facts = build_dataset(
            pages,
            _writers(ImportWriter(files, columns, lang, promoted), taught, _rules(config), with_rules),
            shares,
            counter,
            config.max_length,
            None if dry_run else out,
            eval_sets=eval_set or (),
            held_out=corrections.held_out(corrections.load(own)),
            base_answers=base_answers,
            embedder=embedder,
            val_share=share,
            limit=limit,
            diff=changed,
            progress=show,
        )
    cli_show.made(facts, None if dry_run else out, as_json)


def _pages(store: PageStore, lang: str) -> list[Page]:
    """The pages in ``lang`` (all: ""), in the order of their urls. Raises ConfigError for a language of none."""
    from data.errors import ConfigError

    pages = sorted(store.pages(), key=lambda page: page.url)
    found = [page for page in pages if not lang or page.lang == lang]
    if pages and not found:
        langs = ", ".join(sorted({page.lang for page in pages}))
        raise ConfigError(f"no page is in the language {lang!r}; the synced pages are in: {langs}")
    return found


def _val_share(given: float | None, changed: Diff | None, config: SftConfig) -> float:
    """As asked for; else that of the dataset that is brought up to date; else docduet.toml's."""
    before = changed.previous.val_share if changed else None
    return next(share for share in (given, before, config.val_share) if share is not None)


def _writers(
    imported: ImportWriter, taught: TeacherWriter | None, rules: RuleWriter, with_rules: bool
) -> Sequence[Writer]:
    """What people wrote goes first: a broken file is told before a teacher is paid, and of duplicates theirs stays."""
    own: list[Writer] = [imported] if imported.paths else []
    if taught is None:
        return [*own, rules]
    return [*own, taught, rules] if with_rules else [*own, taught]


def _rules(config: SftConfig) -> RuleWriter:
    from sft.rules.writer import RuleWriter

    return RuleWriter(config.product, config.rewrites, config.paraphrases)


def _teacher(
    settings: Settings,
    config: SftConfig,
    mixture: Mixture,
    counter: Counter,
    embedder: Embedder | None,
    limit: int,
    show: cli_show.Show,
) -> TeacherWriter:
    from data.chat.client import Patience
    from rag.config import RagConfig
    from sft.gates import standard_gates
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
    return TeacherWriter(
        asking,
        teaching,
        mixture,
        standard_gates(counter, config.max_length, embedder),
        announce=lambda estimate: typer.echo(f"The teacher: {estimate}", err=True),
        progress=lambda usage, total: show("teach", usage.done, total, usage.told(total)),
    )


def _key(variable: str) -> str:
    """The key in the environment variable ``variable``; "" where none is named. Raises ConfigError."""
    from data.errors import ConfigError

    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise ConfigError(f"the environment variable {variable} holds no key for the teacher: set it, or name another")
    return key


def _embedder(settings: Settings) -> Embedder:
    from rag.config import RagConfig
    from rag.embed import load_embedder

    return load_embedder(settings.table(RagConfig).embedder)


def _changes(store: PageStore, old: Path, imported: ImportWriter, lang: str) -> Diff:
    """What has changed since ``old`` was built, by all pages that are synced and all files that are given again.

    Pages in another language than ``lang`` are no news to a dataset that never had them.
    """
    from sft.previous import compare, read_previous

    previous = read_previous(old)
    pages = [page for page in store.pages() if not lang or page.lang == lang or page.url in previous.pages]
    anew: dict[str, set[str]] = {name: set() for name in imported.generators}
    for sample in imported.drafts(pages):
        anew[sample.generator].add(sample.id)
    return compare(previous, pages, {name: frozenset(ids) for name, ids in anew.items()})
