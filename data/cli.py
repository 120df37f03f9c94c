"""`docduet data`: sync folders, web sites and git repositories into the page store, list and show what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data import cli_feedback

if TYPE_CHECKING:
    from data.config import DataConfig
    from data.errors import DocDuetError
    from data.progress import ProgressFile
    from data.settings import Settings
    from data.store import PageStore
    from data.sync import SyncReport

app = typer.Typer(help="Product docs in, clean Markdown pages out.", no_args_is_help=True, rich_markup_mode="markdown")

app.add_typer(cli_feedback.app, name="feedback")

SHOWN_SKIPPED = 20
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def sync(
    ctx: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Folders, web sites, or git repositories (URL.git#branch:folder)."),
    ],
    base_url: Annotated[str | None, typer.Option(help="Put before each path to make the page's public URL.")] = None,
    product: Annotated[str | None, typer.Option(help="Product label of these pages.")] = None,
    version: Annotated[str | None, typer.Option(help="Version label of these pages.")] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Web: only paths that begin so, or match this glob; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Web: no paths that begin so, or match this glob; may be repeated.")
    ] = None,
    max_pages: Annotated[int | None, typer.Option(min=1, help="Web: addresses visited at most.")] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Web: links followed away from the start page or a sitemap entry.")
    ] = None,
    requests_per_second: Annotated[float | None, typer.Option(help="Web: requests in a second, at most.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=64, help="Web: requests at the same time, at most.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST[:PORT]", help="Web: a private host or another port that may be fetched, exactly."),
    ] = None,
    llms: Annotated[
        str | None,
        typer.Option(
            help="Web: auto reads the pages that llms.txt lists, off ignores it, full reads llms-full.txt only."
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Web: remove the pages that are gone at once, however many they are.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read Markdown, HTML, reStructuredText, PDF, Word and text files into pages; only what changed is touched.

    Examples:

        docduet data sync docs/

        docduet data sync site/ --base-url https://docs.example.com --product Widget --version 2.1

        docduet data sync https://docs.example.com/guide/ --exclude /guide/archive/ --max-pages 2000

        docduet data sync http://wiki.intranet:8080/ --allow wiki.intranet:8080

        docduet data sync https://git.example.com/org/docs.git#main:docs/en
    """
    from data.config import DataConfig
    from data.store import PageStore

    settings: Settings = ctx.obj
    given = {
        "base_url": base_url,
        "product": product,
        "version": version,
        "include": include,
        "exclude": exclude,
        "max_pages": max_pages,
        "depth": depth,
        "requests_per_second": requests_per_second,
        "concurrency": concurrency,
        "llms": llms,
        "allow_hosts": (*settings.table(DataConfig).allow_hosts, *allow) if allow else None,
    }
    reports, failed = sync_all(sources, PageStore(settings.home.pages), _configured(settings, given), prune, as_json)
    if as_json:
        typer.echo(json.dumps(as_dicts(reports, failed), ensure_ascii=False, indent=2))
    raise_failed(failed)


def _configured(settings: Settings, given: Mapping[str, object]) -> DataConfig:
    """[data] with the options that were given on top, checked like the file."""
    from pydantic import ValidationError

    from data.config import DataConfig
    from data.errors import ConfigError

    changes = {key: value for key, value in given.items() if value is not None}
    try:
        return DataConfig.model_validate({**settings.table(DataConfig).model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{option}: {first['msg']} (got {first.get('input')!r})") from None


@app.command("list")
def list_pages(
    ctx: typer.Context,
    lang: Annotated[str, typer.Option(help="Only this language, such as en or zh.")] = "",
    product: Annotated[str, typer.Option(help="Only this product.")] = "",
    version: Annotated[str, typer.Option(help="Only this version.")] = "",
    as_json: Json = False,
) -> None:
    """List the pages: language, title and url.

    Example: `docduet data list --lang zh`
    """
    from data.store import PageStore
    from data.types import Filters

    settings: Settings = ctx.obj
    pages = list(PageStore(settings.home.pages).pages(Filters(product=product, version=version, lang=lang)))
    if as_json:
        fields = [
            {
                "id": p.id,
                "url": p.url,
                "title": p.title,
                "lang": p.lang,
                "chars": len(p.body),
                **p.labels,
                "source": p.source,
            }
            for p in pages
        ]
        typer.echo(json.dumps(fields, ensure_ascii=False, indent=2))
        return
    for page in pages:
        typer.echo(f"{page.lang}  {page.url}  {page.title}")
    typer.echo(f"{len(pages)} pages", err=True)


@app.command()
def show(
    ctx: typer.Context, url: Annotated[str, typer.Argument(help="Url or id of a page, as `list` prints it.")]
) -> None:
    """Print one page as Markdown.

    Example: `docduet data show guide/install.md`
    """
    import difflib

    from data.errors import SourceError
    from data.store import PageStore

    settings: Settings = ctx.obj
    store = PageStore(settings.home.pages)
    page = store.find(url) or store.get(url)
    if page is None:
        near = difflib.get_close_matches(url, store.owners(), n=1)
        hint = f"did you mean {near[0]}?" if near else "`docduet data list` shows all pages"
        raise SourceError(f"no page {url!r}; {hint}")
    typer.echo(f"# {page.title}\n\n{page.body}")


@app.command()
def forget(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Folder, web site or git repository whose pages go.")],
) -> None:
    """Remove all pages of a source from the store; its files stay.

    Example: `docduet data forget old-docs/`
    """
    from data.errors import SourceError
    from data.store import PageStore
    from data.sync import forget_source

    settings: Settings = ctx.obj
    store = PageStore(settings.home.pages)
    removed = forget_source(source, store)
    if removed is None:
        names = ", ".join(summary.source for summary in store.sources())
        raise SourceError(f"no pages from {source}; sources are: {names or 'none'}")
    typer.echo(f"{removed} pages removed")


def sync_all(
    sources: Sequence[str],
    store: PageStore,
    config: DataConfig,
    prune: bool = False,
    quiet: bool = False,
    told: ProgressFile | None = None,
) -> tuple[list[SyncReport], dict[str, DocDuetError]]:
    """Each source in turn, its report printed unless ``quiet``; and the errors of those that failed, by source.

    A source that fails keeps its pages, and the others are synced all the same. ``told`` learns how far it is.
    """
    from data.errors import DocDuetError

    reports: list[SyncReport] = []
    failed: dict[str, DocDuetError] = {}
    for source in sources:
        try:
            reports.append(sync_with_progress(source, store, config, prune, told))
        except DocDuetError as error:
            failed[source] = error
            continue
        except KeyboardInterrupt:
            typer.echo(f"Stopped. What was read of {source} is kept; sync it again to go on from there.", err=True)
            raise typer.Exit(130) from None
        if not quiet:
            print_report(reports[-1], store.count())
    return reports, failed


def as_dicts(reports: Sequence[SyncReport], failed: Mapping[str, DocDuetError]) -> list[dict[str, Any]]:
    """For --json."""
    bad = [{"source": source, "error": str(error)} for source, error in failed.items()]
    return [*(report.as_dict() for report in reports), *bad]


def raise_failed(failed: Mapping[str, DocDuetError]) -> None:
    """The errors of sources as one, which names the sources where there are several."""
    from data.errors import SourceError

    if len(failed) > 1:
        raise SourceError("; ".join(f"{source}: {error}" for source, error in failed.items()))
    for error in failed.values():
        raise error


def sync_with_progress(
    source: str, store: PageStore, config: DataConfig, prune: bool = False, told: ProgressFile | None = None
) -> SyncReport:
    """sync_source with a progress bar on stderr (only where that is a terminal)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from data.sync import sync_source

    columns = (
        TextColumn("Reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int, path: str) -> None:
            bar.update(task, completed=done, total=total, description=path[-50:])
            if told:
                told.tell("read", done, total, source, path)

        return sync_source(source, store, config, progress, prune)


def print_report(report: SyncReport, total: int) -> None:
    """The summary on stdout; skipped files with their reasons on stderr, those that should be documents first."""
    from data.detect import looks_like_document

    shown = sorted(report.skipped, key=lambda entry: not looks_like_document(entry[0]))
    _print_reasons("skipped", shown)
    _print_reasons("failed", report.failed)
    names = ["added", "changed", "removed", "unchanged", "skipped"]
    counts = [f"{len(getattr(report, name))} {name}" for name in names]
    if report.failed:
        counts.append(f"{len(report.failed)} failed (their pages are kept)")
    if report.kept:
        counts.append(f"{len(report.kept)} missing (kept for now)")
    typer.echo(f"{report.source}: {', '.join(counts)} in {report.seconds:.1f} s; {total} pages in the store")


def _print_reasons(what: str, entries: Sequence[tuple[str, str]]) -> None:
    for path, reason in entries[:SHOWN_SKIPPED]:
        typer.secho(f"{what} {path}: {reason}", fg="yellow", err=True)
    if len(entries) > SHOWN_SKIPPED:
        typer.secho(f"... and {len(entries) - SHOWN_SKIPPED} more {what} (all of them: --json)", fg="yellow", err=True)
