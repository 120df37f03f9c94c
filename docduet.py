"""Front door: one Typer app that mounts each package's commands and hands each its table of docduet.toml.

Run `docduet --help`. Heavy imports stay inside the commands, so help answers at once.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data.cli import app as data_app
from data.errors import DocDuetError
from evals.cli import app as eval_app
from rag.cli import app as rag_app
from serving.access.cli import app as keys_app
from serving.report.cli import report
from serving.report.cli_agreement import agreement
from serving.router.cli import app as route_app
from sft.cli import app as sft_app

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel

    from data.settings import Settings
    from rag.live import LiveIndex
    from serving.config import ServingConfig
    from serving.refresh import Refresher

app = typer.Typer(
    name="docduet",
    help="Two voices answer questions about your product docs: one learned them, one reads them and cites its sources.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(data_app, name="data")
app.add_typer(rag_app, name="rag")
app.add_typer(sft_app, name="sft")
eval_app.command()(report)
eval_app.command()(agreement)
app.add_typer(eval_app, name="eval")
app.add_typer(keys_app, name="keys")
app.add_typer(route_app, name="route")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"docduet {version('docduet')}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Configuration file; default ./docduet.toml.")] = None,
    profile: Annotated[
        str, typer.Option(help="Defaults for this kind of machine: laptop, single-gpu or cluster.")
    ] = "laptop",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the configuration; every command gets its own table of it."""
    from data.config import DataConfig
    from data.settings import Settings
    from rag.config import RagConfig
    from serving.config import ServingConfig
    from sft.config import SftConfig
    from ui.config import UiConfig

    tables: dict[str, type[BaseModel]] = {
        "data": DataConfig,
        "rag": RagConfig,
        "sft": SftConfig,
        "serving": ServingConfig,
        "ui": UiConfig,
    }
    ctx.obj = Settings(tables, path=config, profile=profile)


@app.command()
def sync(
    ctx: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="Folders with documents, web sites or git repositories; default: those of [data], else all known.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Read documents into pages and index them: what most people need. What did not change costs nothing.

    Examples:

        docduet sync docs/

        docduet sync docs/en docs/zh

        docduet sync https://docs.example.com

        docduet sync
    """
    sync_and_index(ctx.obj, sources or known_sources(ctx.obj), as_json)


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default from docduet.toml (127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; default from docduet.toml (7860).")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible server that runs already.")] = None,
    ui: Annotated[bool, typer.Option(help="Serve the chat app at /.")] = True,
    demo: Annotated[bool, typer.Option(help="Answer from the bundled handbook, in a home of its own.")] = False,
    insecure_open: Annotated[
        bool, typer.Option("--insecure-open", help="Ask for no keys, whoever can reach the address.")
    ] = False,
) -> None:
    """Engines, gateway and chat app in one process tree; Ctrl-C stops them all.

    Examples:

        docduet serve

        docduet serve --engine http://127.0.0.1:8000/v1 --port 8080

        docduet serve --host 0.0.0.0     (once there is a key: docduet keys create NAME --role admin)
    """
    from rag.live import LiveIndex
    from serving import start
    from serving.server import listen, run, url_of

    settings: Settings = ctx.obj

    def configured(settings: Settings) -> ServingConfig:
        return start.guarded(settings, start.serving_config(settings, host, port, engine, insecure_open, demo))

    serving = configured(settings)
    sock = listen(serving.host, serving.port)  # before any slow work, so that "port in use" is said at once
    if demo:
        _prepare_demo(settings)
    live = LiveIndex(settings.home, start.rag_config(settings, serving))
    refresher = start.refresher(settings, live, demo)
    gateway = _gateway(settings, serving, live, url_of(sock) if ui else "", refresher, learned=True, handbook=demo)
    gateway.state.gateway.reloader = start.reloader(settings, gateway.state.gateway, configured)
    run(gateway, sock, started=lambda: start.announce(url_of(sock), serving, live, ui, refresher, demo))


@app.command()
def ask(
    ctx: typer.Context,
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    model: Annotated[str, typer.Option(help="Voice to ask: auto, rag, sft, sft-rag, base or compare.")] = "rag",
    url: Annotated[
        str, typer.Option(help="A running gateway; default: the one on this machine, or one for this question.")
    ] = "",
    product: Annotated[str, typer.Option(help="Only from pages of this product.")] = "",
    version: Annotated[str, typer.Option(help="Only from pages of this version.")] = "",
    lang: Annotated[str, typer.Option(help="Only from pages in this language, such as en or zh.")] = "",
    key: Annotated[str, typer.Option(envvar="DOCDUET_API_KEY", help="Your key, where the gateway asks for one.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
) -> None:
    """Answer a question in the terminal, streaming, with sources.

    Examples:

        docduet ask "How do I change the port?"

        docduet ask "怎么修改端口？" --json

        docduet ask "What is new?" --product Widget --version 2.1
    """
    from data.types import Filters
    from rag.live import LiveIndex
    from serving import start
    from serving.config import ServingConfig
    from serving.server import answers, in_background
    from ui.client import Gateway
    from ui.terminal import ask as ask_in_terminal

    settings: Settings = ctx.obj
    serving = settings.table(ServingConfig)
    asking: dict[str, Any] = {"model": model, "as_json": json, "filters": Filters(product, version, lang)}
    here = url or f"http://{serving.host}:{serving.port}"
    if url or answers(here):
        raise typer.Exit(ask_in_terminal(Gateway(here, key), question, **asking))
    live = LiveIndex(settings.home, start.rag_config(settings, serving))
    live.retriever()  # "nothing indexed yet" is said before anything is started
    alone = serving.model_copy(update={"require_keys": "never"})  # nobody but this command knows its port
    with in_background(_gateway(settings, alone, live, "")) as own:
        code = ask_in_terminal(Gateway(own), question, lasting=False, **asking)
    raise typer.Exit(code)


def known_sources(settings: Settings) -> list[str]:
    """The sources of [data], else those that the page store knows. SourceError when there are none."""
    from data.config import DataConfig
    from data.errors import SourceError
    from data.store import PageStore

    known = list(settings.table(DataConfig).sources)
    known = known or [summary.source for summary in PageStore(settings.home.pages).sources()]
    if not known:
        raise SourceError("nothing to sync yet: name a folder, or list `sources` in [data] of docduet.toml")
    return known


def sync_and_index(settings: Settings, sources: list[str], as_json: bool = False) -> None:
    """`data sync` of each source, then `rag index` of all pages.

    A source that fails keeps its pages, and the others are synced all the same; in the end it is an error.
    """
    from data.cli import as_dicts, raise_failed, sync_all
    from data.config import DataConfig
    from data.progress import ProgressFile
    from data.store import PageStore
    from rag.cli import as_dict, index_with_progress, print_built

    store, told = PageStore(settings.home.pages), ProgressFile(settings.home.progress)
    try:
        reports, failed = sync_all(sources, store, settings.table(DataConfig), quiet=as_json, told=told)
        raise_failed({} if reports else failed)
        started = time.monotonic()
        generation = index_with_progress(settings, told=told)
    finally:
        told.close()
    if as_json:
        import json

        body = {"sources": as_dicts(reports, failed), "index": as_dict(generation)}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        print_built(generation, time.monotonic() - started)
    raise_failed(failed)


def _gateway(
    settings: Settings,
    serving: ServingConfig,
    live: LiveIndex,
    ui_url: str,
    refresher: Refresher | None = None,
    learned: bool = False,
    handbook: bool = False,
) -> FastAPI:
    """The gateway, with the chat app on it when ``ui_url`` says where it reaches the gateway. ``learned``: with an
    engine for the published checkpoint, too slow to start for a single question. ``handbook``: it answers from that."""
    from serving.app import create_app
    from serving.engines.checkpoint import CheckpointEngine
    from serving.engines.supervisor import Supervisor
    from ui.config import UiConfig

    supervisor = Supervisor(serving.engines, settings.home.logs)
    given = any(engine.name == "sft" for engine in serving.engines)
    checkpoint = CheckpointEngine(settings.home, supervisor, serving) if learned and not given else None
    gateway = create_app(serving, supervisor, live, refresher, checkpoint)
    if ui_url:
        from ui.app import mount

        mount(gateway, ui_url, settings.table(UiConfig), handbook)
    return gateway


def _prepare_demo(settings: Settings) -> None:
    """Sync and index the bundled handbook into DOCDUET_HOME/demo; what has not changed costs nothing."""
    from data.handbook import FOLDER
    from serving.engines.demo import publish_bundled

    settings.home = settings.home.demo
    sync_and_index(settings, [str(FOLDER)])
    publish_bundled(settings.home)


def main() -> None:
    """Run the command line; a DocDuetError is printed in one line, without a traceback, and exits 1."""
    try:
        app()
    except DocDuetError as error:
        typer.secho(f"docduet: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
