"""A real PostgreSQL that is gone, hangs or is told nonsense; builds that fail or are killed: no vector is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import rag.build
import rag.postgres
import rag.vector_store
from data.errors import ConfigError, VectorStoreError
from data.home import Home
from rag.config import RagConfig
from rag.generations import Generations
from tests.postgres_server import SECRET, Database, build, live, table

REPO = Path(__file__).parents[1]


@pytest.fixture
def config(database: Database) -> RagConfig:
    return RagConfig(vector_store=database.url)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


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
from tests.postgres_server import pages
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


def test_a_table_that_a_lost_builder_still_holds_is_dropped_later(
    home: Home, config: RagConfig, database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rag.postgres, "TIMEOUT_S", 0.3)
    ids = [build(home, config, seed=seed).info.id for seed in range(3)]
    with database.holding(table(ids[0])):
        ids.append(build(home, config, seed=3).info.id)
        assert "the next build removes" in caplog.text
        assert database.tables() == {table(name) for name in ids}
    build(home, config, seed=4)
    assert database.tables() == {table(info.id) for info in Generations(home.index).list()}


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


def test_a_full_disk_of_the_database_is_not_called_a_full_disk_here(
    home: Home, database: Database, small_disk: Path
) -> None:
    first = build(home, RagConfig(vector_store=database.url))
    with database.writing_to(small_disk):
        fresh = RagConfig(vector_store=f"{database.url}?application_name=full")  # a pool that has no connections yet
        with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        with pytest.raises(VectorStoreError, match="No space left on device") as caught:
            build(home, fresh, seed=1)
        assert f"the vector database postgresql+psycopg2://postgres:***@127.0.0.1:{database.relay.port}" in str(
            caught.value
        )
    assert Generations(home.index).current().name == first.info.id


def test_the_password_is_written_nowhere(home: Home, config: RagConfig) -> None:
    build(home, config)
    live(home, config).search("word1")
    files = [path for path in home.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in repr(config)


@pytest.mark.parametrize("url", [f"mysql://me:{SECRET}@host/db", f"{SECRET}", f"postgresql://me:{SECRET}@host:port/db"])
def test_not_a_url_of_postgresql(home: Home, url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://USER") as caught:
        build(home, RagConfig(vector_store=url))
    assert SECRET not in str(caught.value)


def test_the_drivers_are_missing(home: Home, config: RagConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_index.vector_stores.postgres", None)
    with pytest.raises(ConfigError, match=r"docduet\[postgres\]"):
        build(home, config)
