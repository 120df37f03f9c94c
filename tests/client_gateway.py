"""What tests of unmodified clients need: a gateway over pages of the handbook with a real HTTP engine behind it, and
environments of their own for clients whose packages would get into each other's way.

Environments are kept under DOCDUET_TEST_CACHE (default: ~/.cache/docduet-tests) and made once.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from data.handbook import FOLDER
from data.home import Home
from data.lang import detect_lang
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.supervisor import Supervisor
from serving.server import in_background
from tests.fake_engine import DONE, USAGE, FakeEngineServer, chunk
from tests.fakes import ScriptedEngine, ScriptedSupervisor

QUESTION = "Where are the logs of an engine?"
ANSWER = "🙂 They are in the folder for logs [2]. One file for each engine [1, 9]."
CLEAN = "🙂 They are in the folder for logs [1]. One file for each engine [2]."
PAGES = ("engines", "operations", "api", "faq")


def says(text: str, cut: int = 7) -> tuple[bytes, ...]:
    """The script of an engine that says ``text`` in pieces of ``cut`` characters."""
    pieces = [chunk(text[i : i + cut]) for i in range(0, len(text), cut)]
    return (*pieces, chunk(finish="stop"), USAGE, DONE)


@contextmanager
def engine_in_thread(engine: FakeEngineServer) -> Iterator[FakeEngineServer]:
    """The engine on an event loop of its own, for tests that are not asynchronous."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(engine.__aenter__(), loop).result(10)
    try:
        yield engine
    finally:
        asyncio.run_coroutine_threadsafe(engine.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def index_handbook(folder: Path) -> Home:
    """A home whose index holds some English pages of the handbook."""
    home = Home(folder)
    texts = [(name, (FOLDER / "en" / f"{name}.md").read_text(encoding="utf-8")) for name in PAGES]
    pages = [Page(f"en/{name}.md", text.split("\n")[0][2:], text, lang=detect_lang(text)) for name, text in texts]
    build_index(pages, home, RagConfig())
    return home


@contextmanager
def handbook_gateway(home: Home, engine: FakeEngineServer) -> Iterator[str]:
    """A running gateway over ``home`` whose ``base`` engine is ``engine``; gives its URL."""
    config = ServingConfig(engines=(EngineConfig(name="base", base_url=engine.url),))
    app = create_app(config, Supervisor(config.engines, home.logs), LiveIndex(home, RagConfig()))
    with in_background(app) as url:
        yield url


@contextmanager
def scripted_gateway(home: Home, *engines: ScriptedEngine, **config: Any) -> Iterator[str]:
    """A running gateway over ``home`` with engines that say what a test tells them to; gives its URL."""
    configs = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in engines)
    supervisor: Any = ScriptedSupervisor(*engines)
    app = create_app(ServingConfig(engines=configs, **config), supervisor, LiveIndex(home, RagConfig()))
    with in_background(app) as url:
        yield url


def client_python(name: str, *requirements: str) -> Path:
    """The interpreter of an environment with these packages; skips the test where they cannot be installed."""
    cache = os.environ.get("DOCDUET_TEST_CACHE") or Path.home() / ".cache" / "docduet-tests"
    folder = Path(cache) / name
    python, done = folder / "bin" / "python", folder / ".installed"
    if not done.exists() or done.read_text(encoding="utf-8") != "\n".join(requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"{name} cannot be installed: {installed.stderr.strip()[-300:]}")
        done.write_text("\n".join(requirements), encoding="utf-8")
    return python
