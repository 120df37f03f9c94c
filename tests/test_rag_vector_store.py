"""Vectors in a real PostgreSQL with pgvector: the same hits as FAISS, a table that goes with its generation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

import rag.postgres
from data.home import Home
from data.types import Filters
from rag.config import RagConfig
from rag.generations import Generations
from rag.live import LiveIndex
from rag.vector_store import StoredVectors
from tests.fakes import HashedWords
from tests.postgres_server import Database, build, live, pages, table


@pytest.fixture
def config(database: Database) -> RagConfig:
    return RagConfig(vector_store=database.url)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


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


def test_the_filters_of_a_search_reach_the_graph(database: Database) -> None:
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


def test_a_changed_page_is_embedded_alone(home: Home, config: RagConfig) -> None:
    build(home, config)
    page, *rest = pages(40)
    changed = build(home, config, replace(page, body="# Section\n\nNew words."), *rest)
    assert changed.timings["embedded"] == 1
