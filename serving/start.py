"""`docduet serve` beside the gateway itself: what the command line says on top of [serving], whether it may start, what
reads the configuration again and refreshes the pages, and what is said once it answers. docduet.py puts it together.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import typer

from data.errors import ConfigError, DocDuetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from data.settings import Settings
    from rag.config import RagConfig
    from rag.live import LiveIndex
    from serving.config import ServingConfig
    from serving.gateway import Gateway
    from serving.ops.reload import Reloader
    from serving.refresh import Refresher


def serving_config(
    settings: Settings,
    host: str | None,
    port: int | None,
    engine: str | None,
    insecure_open: bool = False,
    demo: bool = False,
) -> ServingConfig:
    """[serving] with what the command line says on top. ``demo``: with the bundled model, where no engine is named."""
    from serving.config import EngineConfig, ServingConfig

    config = settings.table(ServingConfig)
    changes: dict[str, object] = {}
    if host is not None:
        changes["host"] = host
    if port is not None:
        changes["port"] = port
    if engine is not None:
        try:
            changes["engines"] = (EngineConfig(name="base", base_url=engine),)
        except ValueError:
            raise ConfigError(f"--engine {engine!r} is no address: write http://HOST:PORT/v1") from None
    if demo and not config.engines and engine is None:
        from serving.engines.demo import demo_engine

        changes["engines"] = demo_engine().engines
    if insecure_open:
        changes["require_keys"] = "never"
    return config.model_copy(update=changes)


def guarded(settings: Settings, serving: ServingConfig) -> ServingConfig:
    """``serving`` where it may start: ConfigError when others could reach it and nobody has a key.

    Where others reach it, the keys are those that `docduet keys` makes, also for --demo with its home of its own.
    """
    from serving.access.bind import check_reach
    from serving.access.doors import is_loopback
    from serving.store.database import database_url

    if is_loopback(serving.host):
        return serving
    url = database_url(serving.database, settings.home)
    check_reach(serving, url)
    return serving.model_copy(update={"database": url})


def reloader(settings: Settings, gateway: Gateway, configured: Callable[[Settings], ServingConfig]) -> Reloader:
    """Reads the same files again. ``configured``: [serving] with what the command line says on top."""
    from serving.ops.reload import Reloader

    def read() -> dict[str, BaseModel]:
        again = settings.again()
        return tables(again, configured(again))

    return Reloader(gateway, tables(settings, gateway.config), read)


def tables(settings: Settings, serving: ServingConfig) -> dict[str, BaseModel]:
    """All tables as a gateway with this [serving] runs with them."""
    return settings.tables() | {"serving": serving, "rag": rag_config(settings, serving)}


def rag_config(settings: Settings, serving: ServingConfig) -> RagConfig:
    """[rag], as the engines of ``serving`` can read it in time."""
    from rag.config import RagConfig
    from serving.engines.demo import readable

    return readable(settings.table(RagConfig), serving.engines)


def refresher(settings: Settings, live: LiveIndex, demo: bool) -> Refresher:
    """This very configuration's `docduet sync`: as often as [data] refresh says, and when an administrator asks."""
    from data.config import DataConfig
    from data.handbook import FOLDER
    from serving.refresh import Plan, Refresher

    every_s = settings.table(DataConfig).refresh_s
    own = [part for path in settings.files()[1:] for part in ("--config", str(path))]
    sources = [str(FOLDER)] if demo else []
    argv = (sys.executable, "-m", "docduet", "--profile", settings.profile, *own, "sync", "--json", *sources)
    home = settings.home
    env = {"DOCDUET_HOME": str(home.root), "PYTHONUNBUFFERED": "1"}
    return Refresher(Plan(every_s, argv, home.refresh, home.logs / "refresh.log", env), live)


def announce(
    url: str, serving: ServingConfig, live: LiveIndex, ui: bool, refresher: Refresher | None, handbook: bool
) -> None:
    """What a person needs to know once the gateway answers."""
    from serving.access.doors import is_loopback
    from serving.engines.demo import demo_engine

    say = typer.secho
    say(f"\nDocDuet answers at {url}" + ("" if ui else " (API only)"), bold=True)
    try:
        info = live.retriever().info
        say(f"  index     {info.pages} pages, {info.chunks} chunks ({info.embedder})")
    except DocDuetError as error:
        say(f"  index     {error}", fg="yellow")
    if refresher and refresher.plan.every_s:
        said = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(refresher.due_at(), time.time())))
        say(f"  refresh   next at {said}; the last result stands at {url}/readyz")
    bundled = demo_engine() if handbook else None
    if bundled and serving.engines == bundled.engines:
        say(f"  engines   {bundled.said}")
    elif serving.engines:
        names = ", ".join(f"{engine.name} = {engine.model or engine.base_url}" for engine in serving.engines)
        say(f"  engines   {names} (quoting until ready: see {url}/readyz)")
    else:
        say("  engines   none: quoting mode, answers are quotes from the best passages")
    if serving.require_keys == "never" and not is_loopback(serving.host):
        say(f"  warning   {serving.host} is reachable by others, and no keys are asked for", fg="yellow")
    say(f"  API       {url}/v1 (OpenAI-compatible; described at {url}/v1/openapi.json)")
    if handbook:
        say('  try       "How do I point DocDuet at my own docs?"')
    say("\nCtrl-C stops it.", dim=True)
