"""A real PostgreSQL with pgvector for tests, behind a port that can fail; and indexes with their vectors in it."""

from __future__ import annotations

import os
import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.generation import IndexGeneration
from rag.live import LiveIndex
from rag.retriever import HybridRetriever
from tests.fakes import HashedWords

SECRET = "hunter2-never-shown"


class Relay:
    """A TCP port of PostgreSQL's Unix socket, which can be closed (`gone`) or swallow everything (`hanging`)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.hanging = self.gone = False
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for end in self._ends:
            end.close()
        self._ends.clear()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self.gone:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._path)
            self._ends += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while piece := source.recv(1 << 16):
                if not self.hanging:
                    target.sendall(piece)
        except OSError:
            pass
        with suppress(OSError):  # also when the other end was killed: the server has to learn of it
            target.shutdown(socket.SHUT_WR)


class Database:
    """The test's server: ``url`` goes through the relay, ``tables()`` asks directly."""

    def __init__(self, server: Any) -> None:
        self._data = Path(server.pgdata)
        self._engine = create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"))
        self.relay = Relay(f"{server.get_uri().partition('host=')[2]}/.s.PGSQL.5432")
        self.url = f"postgresql://postgres:{SECRET}@127.0.0.1:{self.relay.port}/postgres"

    def tables(self) -> set[str]:
        """Generations' tables that are there."""
        with self._engine.connect() as db:
            return {row[0] for row in db.execute(text("SELECT tablename FROM pg_tables WHERE tablename ~ 'docduet'"))}

    @contextmanager
    def holding(self, table: str) -> Iterator[None]:
        """A transaction meanwhile that has written to ``table``."""
        with self._engine.begin() as db:
            db.execute(text(f'LOCK TABLE "{table}" IN ROW EXCLUSIVE MODE'))
            yield

    @contextmanager
    def writing_to(self, disk: Path) -> Iterator[None]:
        """New connections meanwhile make their tables on ``disk``."""
        folder = disk / "tables"
        folder.mkdir()
        owner = self._data.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.execute(text(f"CREATE TABLESPACE small LOCATION '{folder}'"))
            db.execute(text("ALTER DATABASE postgres SET default_tablespace = small"))
            try:
                yield
            finally:
                db.execute(text("ALTER DATABASE postgres RESET default_tablespace"))
                on_it = "SELECT tablename FROM pg_tables WHERE tablespace = 'small'"
                for (table,) in db.execute(text(on_it)).all():
                    db.execute(text(f'DROP TABLE "{table}"'))
                db.execute(text("DROP TABLESPACE small"))

    def run(self, statement: str) -> None:
        with self._engine.begin() as db:
            db.execute(text(statement))


def pages(n: int = 300, seed: int = 0) -> list[Page]:
    """Pages of random words in two languages, three products and two versions."""
    chance = random.Random(seed)
    words = [f"word{i}" for i in range(400)]
    return [
        Page(
            f"{i}.md",
            f"Page {i}",
            "# Section\n\n" + " ".join(chance.choices(words, k=chance.randint(20, 60))),
            lang="de" if i % 50 == 7 else "en",
            labels={"product": ("One", "Two", "O'Three")[i % 3], "version": str(i % 2)},
        )
        for i in range(n)
    ]


def build(home: Home, config: RagConfig, *given: Page, seed: int = 0) -> IndexGeneration:
    return build_index(given or pages(40, seed), home, config, embedder=HashedWords())


def live(home: Home, config: RagConfig) -> HybridRetriever:
    return LiveIndex(home, config, HashedWords()).retriever()


def table(generation: str) -> str:
    return "data_docduet_" + re.sub(r"[^a-z0-9]", "_", generation.lower())
