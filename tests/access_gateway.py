"""Gateways that ask for keys, for tests: a real database, a real engine over HTTP where one is given, a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import delete

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.access import keys
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.engine import Engine
from serving.server import in_background
from serving.store.database import Store
from serving.store.tables import Key
from tests.fakes import HashedWords, ScriptedEngine, ScriptedSupervisor

PAGE = Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n")
QUESTION = [{"role": "user", "content": "Which port does the gateway listen on by default?"}]
BODY = {"model": "base", "messages": QUESTION}

Start = Callable[..., str]


def indexed(folder: Path) -> Home:
    """A home with one page, indexed without a model."""
    home = Home(folder)
    build_index([PAGE], home, RagConfig(), embedder=HashedWords())
    return home


def open_store(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder / 'docduet.sqlite'}")


def new_key(store: Store, name: str = "anna", role: Any = "staff", **limits: int) -> str:
    """A key's secret."""
    with store.writing() as db:
        return keys.create(db, name, role, limits)[1]


def forget_keys(store: Store) -> None:
    """As if no key had ever been made: in a database that other tests use too."""
    with store.writing() as db:
        db.execute(delete(Key))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def gateway_app(home: Home, store: Store | None, engine: Any, config: dict[str, Any]) -> FastAPI:
    """A gateway's app. ``engine``: an Engine, or the URL of one; ``store``: whose database it uses."""
    if store:
        config["database"] = store.engine.url.render_as_string(hide_password=False)
    engine = Engine("base", engine, idle_timeout_s=20) if isinstance(engine, str) else engine
    serving = ServingConfig(engines=(EngineConfig(name="base", base_url="http://scripted"),), **config)
    supervisor: Any = ScriptedSupervisor(engine)
    return create_app(serving, supervisor, LiveIndex(home, RagConfig(), HashedWords()))


@contextmanager
def starting(home: Home) -> Iterator[Start]:
    """Starts gateways; gives their URLs."""
    with ExitStack() as stack:

        def start(store: Store | None = None, engine: Any = None, **config: Any) -> str:
            engine = engine or ScriptedEngine("It is port 7860 [1].")
            return stack.enter_context(in_background(gateway_app(home, store, engine, config)))

        yield start
