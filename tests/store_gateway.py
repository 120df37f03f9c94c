"""A real gateway over a small index, for tests of what is kept; who asks is said by a header.

As a process: ``python -m tests.store_gateway HOME DATABASE_URL`` prints its URL and serves; its engine never ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from data.home import Home
from data.prompts import Message
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.delta import EngineDelta
from serving.principal import Principal
from serving.server import in_background
from tests.fakes import HashedWords, ScriptedEngine, ScriptedSupervisor

PAGES = [
    Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n\nChange it with `--port`.\n"),
    Page("zh/port.md", "端口", "# 端口\n\n网关默认监听 7860 端口。\n", lang="zh"),
    Page("https://docs.example/engines", "Engines", "# Engines\n\nAn engine is restarted with backoff when it dies.\n"),
]
QUESTION = "Which port does the gateway listen on by default?"


class Endless(ScriptedEngine):
    """Says ``text`` and then nothing more, without an end."""

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        try:
            yield EngineDelta(text=self.text)
            await asyncio.sleep(3600)
        finally:
            self.closed_early += 1


class AsUser:
    """Innermost middleware: the header X-User says who asks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (user := dict(scope["headers"]).get(b"x-user")):
            scope.setdefault("state", {})["principal"] = Principal(user.decode(), "staff")
        await self.app(scope, receive, send)


def index(home: Home) -> None:
    build_index(PAGES, home, RagConfig(), embedder=HashedWords())


def gateway(home: Home, database: str, *engines: ScriptedEngine, **config: Any) -> Any:
    """The app. ``config``: more of [serving]."""
    configs = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in engines)
    serving = ServingConfig(engines=configs, database=database, **config)
    supervisor: Any = ScriptedSupervisor(*engines)
    app = create_app(serving, supervisor, LiveIndex(home, RagConfig(), HashedWords()))
    app.user_middleware.append(Middleware(AsUser))
    return app


@contextmanager
def client(app: Any, user: str = "ann") -> Iterator[httpx.Client]:
    """A client of ``user``, of the app served on a free port."""
    with in_background(app) as url, httpx.Client(base_url=f"{url}/v1", headers={"X-User": user}, timeout=30) as http:
        yield http


def ask(http: httpx.Client, question: str = QUESTION, **more: Any) -> dict[str, Any]:
    """A whole answer; what is not a field of OpenAI's goes into the object ``docduet``."""
    own = {
        name: more.pop(name)
        for name in ("conversation", "replace", "store", "blind", "arms", "filters")
        if name in more
    }
    body = {"model": "rag", "messages": [{"role": "user", "content": question}], "docduet": own} | more
    response = http.post("/chat/completions", json=body)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def home_of(folder: Path) -> Home:
    """A home with the index in it."""
    home = Home(folder)
    index(home)
    return home


@contextmanager
def process(home: Home, database: str, text: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway in a process of its own, and its URL. ``text``: what its engine says before it falls silent."""
    argv = [sys.executable, "-m", "tests.store_gateway", str(home.root), database, text]
    started = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout
        yield started, started.stdout.readline().strip()
    finally:
        started.kill()
        started.wait()


def main() -> None:
    home, database, text = sys.argv[1:]
    engines = (Endless(text),) if text else ()
    with in_background(gateway(Home(Path(home)), database, *engines)) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
