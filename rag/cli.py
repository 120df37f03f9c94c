"""`docduet rag`: build the index, search it, go back to an earlier one."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from data.progress import ProgressFile
    from data.settings import Settings
    from rag.generation import IndexGeneration
    from rag.types import Passage

app = typer.Typer(
    help="Pages in, ranked passages out: the search index.", no_args_is_help=True, rich_markup_mode="markdown"
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
STAGES = {"chunk": "Cutting pages", "embed": "Embedding chunks", "write": "Writing the index"}


@app.command()
def index(
    ctx: typer.Context,
    ray: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Embed on a Ray cluster: auto (this machine's), HOST:PORT, ray://HOST:PORT, or local (a new one).",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Index the synced pages; what did not change is not embedded again, and the old index serves until the end.

    Examples:

        docduet rag index

        docduet rag index --ray auto
    """
    started = time.monotonic()
    generation = index_with_progress(ctx.obj, ray)
    if as_json:
        typer.echo(json.dumps(as_dict(generation), ensure_ascii=False, indent=2))
    else:
        print_built(generation, time.monotonic() - started)


@app.command()
def search(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    top_k: Annotated[int | None, typer.Option(min=1, max=50, help="Number of passages.")] = None,
    product: Annotated[str, typer.Option(help="Only this product.")] = "",
    version: Annotated[str, typer.Option(help="Only this version.")] = "",
    lang: Annotated[str, typer.Option(help="Only this language, such as en or zh.")] = "",
    as_json: Json = False,
) -> None:
    """Print the best passages, with scores and why they matched.

    Examples:

        docduet rag search "how do I change the port"

        docduet rag search "怎么修改端口" --lang zh --top-k 3 --json
    """
    from data.errors import SourceError
    from data.types import Filters
    from rag.config import RagConfig
    from rag.labels import check
    from rag.live import LiveIndex

    settings: Settings = ctx.obj
    if not query.strip():
        raise SourceError("the query is empty: say what to look for")
    retriever = LiveIndex(settings.home, settings.table(RagConfig)).retriever()
    filters = Filters(product=product, version=version, lang=lang)
    check(retriever.labels, filters)
    passages = retriever.search(query, top_k, filters)
    verdict = retriever.answerability(query, passages)
    if as_json:
        from dataclasses import asdict

        body = {"query": query, "answerable": asdict(verdict), "data": [asdict(passage) for passage in passages]}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    _print_passages(query, passages)
    said = "The docs answer this" if verdict.answerable else "The docs do not seem to answer this"
    typer.echo(f"{said} ({verdict.score:.2f}: {verdict.reason}).", err=True)


@app.command()
def rollback(
    ctx: typer.Context,
    to: Annotated[str, typer.Option(help="Id of a kept generation; default: the one before the live one.")] = "",
    show: Annotated[bool, typer.Option("--list", help="List the kept generations and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Go back to an earlier index; a running gateway follows without a restart.

    Examples:

        docduet rag rollback --list

        docduet rag rollback
    """
    from dataclasses import asdict

    from rag.config import RagConfig
    from rag.generations import Generations

    settings: Settings = ctx.obj
    generations = Generations(settings.home.index, settings.table(RagConfig).vector_store)
    if not show:
        info = generations.rollback(to)
        typer.echo(json.dumps(asdict(info)) if as_json else f"Live now: {_line(info)}")
        return
    live = generations.current().name
    kept = [asdict(info) | {"live": info.id == live} for info in generations.list()]
    if as_json:
        typer.echo(json.dumps(kept, indent=2))
        return
    for info in generations.list():
        typer.echo(f"{'*' if info.id == live else ' '} {_line(info)}")


def index_with_progress(settings: Settings, ray: str = "", told: ProgressFile | None = None) -> IndexGeneration:
    """Build the index of all synced pages, with a progress bar on stderr; ``ray``: address of a cluster that embeds.

    ``told`` learns how far it is.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from data.store import PageStore
    from rag.build import build_index
    from rag.config import RagConfig
    from rag.embed import load_embedder
    from rag.ray_job import embed_on_ray

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(STAGES["chunk"], total=None)

        def progress(stage: str, done: int, total: int) -> None:
            bar.update(task, description=STAGES[stage], completed=done, total=total)
            if told:
                told.tell(stage, done, total)

        config = settings.table(RagConfig)
        farm = partial(embed_on_ray, ray, partial(load_embedder, config.embedder)) if ray else None
        try:
            return build_index(PageStore(settings.home.pages).pages(), settings.home, config, progress, farm=farm)
        except KeyboardInterrupt:
            bar.stop()
            typer.echo(
                "Stopped. The index that was there still serves, and what was embedded is kept: run it again to go on.",
                err=True,
            )
            raise typer.Exit(130) from None


def as_dict(generation: IndexGeneration) -> dict[str, Any]:
    """For --json."""
    from dataclasses import asdict

    timings = {name: round(value, 3) for name, value in generation.timings.items()}
    return asdict(generation.info) | {"built": generation.built, "timings": timings}


def print_built(generation: IndexGeneration, seconds: float) -> None:
    info = generation.info
    if not generation.built:
        typer.echo(f"Nothing changed: index {info.id} stays ({info.pages} pages, {info.chunks} chunks).")
        return
    embedded = int(generation.timings["embedded"])
    typer.echo(
        f"Indexed {info.pages} pages as {info.chunks} chunks, {embedded} of them newly embedded, in {seconds:.1f} s. "
        f"Live now: {info.id}"
    )


def _print_passages(query: str, passages: list[Passage]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not passages:
        console.print("Nothing found.")
    for passage in passages:
        _print_passage(console, query, passage)


def _print_passage(console: Console, query: str, passage: Passage) -> None:
    from rich.padding import Padding
    from rich.text import Text

    where = " > ".join(dict.fromkeys([passage.title, *passage.heading_path]))
    console.print(Text(f"{passage.rank}. {where}", style="bold"))
    console.print(Text(f"   {passage.url}  {_why(passage)}", style="dim"), soft_wrap=True)
    console.print(Padding(_marked(query, passage.text), (0, 0, 1, 3)))


def _why(passage: Passage) -> str:
    why = passage.why
    parts = [f"score {passage.score:.4f}"]
    if why.bm25_rank:
        parts.append(f"BM25 #{why.bm25_rank} ({why.bm25_score:.1f})")
    if why.dense_rank:
        parts.append(f"dense #{why.dense_rank} ({why.dense_score:.2f})")
    return " · ".join(parts)


def _marked(query: str, text: str) -> Text:
    """The passage with the query's words marked."""
    from rich.text import Text

    from rag.lexical import spans, tokenize

    marked = Text(text)
    for start, end in spans(text, tokenize(query)):
        marked.stylize("bold yellow", start, end)
    return marked


def _line(info: Any) -> str:
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.created_at))
    return f"{info.id}  {made}  {info.pages} pages, {info.chunks} chunks ({info.embedder})"
