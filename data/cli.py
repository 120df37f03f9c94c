"""`docduet data`: sync folders into the page store, list and show what is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from data.config import DataConfig
    from data.settings import Settings
    from data.store import PageStore
    from data.sync import SyncReport

app = typer.Typer(help="Product docs in, clean Markdown pages out.", no_args_is_help=True, rich_markup_mode="markdown")

SHOWN_SKIPPED = 20
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def sync(
    ctx: typer.Context,
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Folders with documents.")],
    base_url: Annotated[str | None, typer.Option(help="Put before each path to make the page's public URL.")] = None,
    product: Annotated[str | None, typer.Option(help="Product label of these pages.")] = None,
    version: Annotated[str | None, typer.Option(help="Version label of these pages.")] = None,
    as_json: Json = False,
) -> None:
    """Read Markdown, HTML, reStructuredText, PDF, Word and text files into pages; only what changed is touched.

    Examples:

        docduet data sync docs/

        docduet data sync site/ --base-url https://docs.example.com --product Widget --version 2.1
    """
    from data.config import DataConfig
    from data.store import PageStore

    settings: Settings = ctx.obj
    given = {"base_url": base_url, "product": product, "version": version}
    config = settings.table(DataConfig).model_copy(update={key: val for key, val in given.items() if val is not None})
    store = PageStore(settings.home.pages)
    reports = [sync_with_progress(source, store, config) for source in sources]
    if as_json:
        typer.echo(json.dumps([report.as_dict() for report in reports], ensure_ascii=False, indent=2))
        return
    for report in reports:
        print_report(report, store.count())


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
def forget(ctx: typer.Context, source: Annotated[str, typer.Argument(help="Folder whose pages go.")]) -> None:
    """Remove all pages of a source from the store; its files stay.

    Example: `docduet data forget old-docs/`
    """
    from pathlib import Path

    from data.errors import SourceError
    from data.store import PageStore

    settings: Settings = ctx.obj
    store = PageStore(settings.home.pages)
    names = [summary.source for summary in store.sources()]
    name = source if source in names else str(Path(source).expanduser().resolve())
    if name not in names:
        raise SourceError(f"no pages from {source}; sources are: {', '.join(names) or 'none'}")
    typer.echo(f"{store.remove_source(name)} pages removed")


def sync_with_progress(source: str, store: PageStore, config: DataConfig) -> SyncReport:
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
        return sync_source(
            source,
            store,
            config,
            lambda done, total, path: bar.update(task, completed=done, total=total, description=path[-50:]),
        )


def print_report(report: SyncReport, total: int) -> None:
    """The summary on stdout; skipped files with their reasons on stderr, those that should be documents first."""
    from data.detect import looks_like_document

    shown = sorted(report.skipped, key=lambda entry: not looks_like_document(entry[0]))[:SHOWN_SKIPPED]
    for path, reason in shown:
        typer.secho(f"skipped {path}: {reason}", fg="yellow", err=True)
    if len(report.skipped) > len(shown):
        typer.secho(f"... and {len(report.skipped) - len(shown)} more (all of them: --json)", fg="yellow", err=True)
    counts = [
        f"{len(getattr(report, name))} {name}" for name in ("added", "changed", "removed", "unchanged", "skipped")
    ]
    typer.echo(f"{report.source}: {', '.join(counts)} in {report.seconds:.1f} s; {total} pages in the store")
