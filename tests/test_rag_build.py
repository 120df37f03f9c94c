"""An index built from the one before is the same as one built from nothing, whatever happened to the pages."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rag.cut
import rag.vectors
from data.errors import NoIndexError
from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.generation import IndexGeneration
from rag.generations import Generations
from rag.live import LiveIndex
from tests.fakes import HashedWords

CONFIG = RagConfig(keep_generations=2)
BODIES = (
    "# Port\n\nThe gateway listens on `--port` 7860.\n\n# Logs\n\nSee engine.log for ERR_1234.",
    "# 端口\n\n网关默认监听 7860 端口。\n\n# 日志\n\n引擎日志写入 engine.log。",
    "Plain text.",
    "",
    "# Long\n\n" + "\n\n".join(f"Paragraph number{n} tells about part{n % 7} of the machine. " * 6 for n in range(30)),
)


def contents(generation: IndexGeneration) -> dict[str, Any]:
    """All that a generation holds, as values that can be compared."""
    files = ("vectors.npy", "tokens.npy", "token_offsets.npy", "bm25/vocab.index.json")
    matrix = ("data", "indices", "indptr")
    held: dict[str, Any] = {name: (generation.folder / name).read_bytes() for name in files}
    held |= {name: (generation.folder / "bm25" / f"{name}.csc.index.npy").read_bytes() for name in matrix}
    with sqlite3.connect(generation.folder / "chunks.sqlite") as db:
        held |= {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in ("pages", "chunks")}
    held["manifest"] = (generation.manifest.key, generation.manifest.page_hashes, generation.info.chunks)
    return held


def from_nothing(pages: list[Page], folder: Path) -> IndexGeneration:
    return build_index(pages, Home(folder), CONFIG, embedder=HashedWords())


PAGES = st.dictionaries(
    st.sampled_from([f"{name}.md" for name in "abcdefgh"]),
    st.tuples(
        st.sampled_from(BODIES),
        st.sampled_from(["One", "Two"]),
        st.sampled_from(["en", "zh"]),
        st.sampled_from(["", "1", "2"]),
    ),
    min_size=1,
).map(
    lambda drawn: [
        Page(url, title, body, lang, {"version": version} if version else {})
        for url, (body, title, lang, version) in drawn.items()
    ]
)


@given(st.lists(PAGES.filter(lambda pages: any(page.body for page in pages)), min_size=2, max_size=4))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_step_by_step_or_at_once(tmp_path_factory: pytest.TempPathFactory, states: list[list[Page]]) -> None:
    home = Home(tmp_path_factory.mktemp("steps"))
    for pages in states:
        step = build_index(pages, home, CONFIG, embedder=HashedWords())
        assert contents(step) == contents(from_nothing(pages, tmp_path_factory.mktemp("once")))


def test_a_page_that_kept_its_content_is_neither_cut_nor_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [Page(f"{n}.md", f"Page {n}", f"# Head\n\nText number{n}.") for n in range(10)]
    home = Home(tmp_path)
    build_index(pages, home, CONFIG, embedder=HashedWords())
    cut: list[str] = []
    chunk_page = rag.cut.chunk_page
    monkeypatch.setattr(rag.cut, "chunk_page", lambda page, *sizes: cut.append(page.url) or chunk_page(page, *sizes))
    (home.cache / "embeddings.sqlite").unlink()
    moved = [
        replace(pages[0], url="renamed.md"),
        replace(pages[1], labels={"version": "2"}, lang="de"),
        replace(pages[2], body="new words"),
        *pages[4:],
    ]
    generation = build_index(moved, home, CONFIG, embedder=HashedWords())
    assert cut == ["2.md"]
    assert generation.timings["embedded"] == 1
    assert contents(generation) == contents(from_nothing(moved, tmp_path / "once"))


def test_removing_everything_new_words_bring_leaves_no_trace(tmp_path: Path) -> None:
    home, few = Home(tmp_path), [Page("a.md", "A", "apple"), Page("b.md", "B", "pear")]
    build_index([*few, Page("c.md", "C", "quince")], home, CONFIG, embedder=HashedWords())
    generation = build_index(few, home, CONFIG, embedder=HashedWords())
    assert "quinc" not in generation.bm25.vocab_dict
    assert generation.timings["embedded"] == 0


def test_many_pages_are_cut_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Page(f"{n:03}.md", f"Page {n}", BODIES[n % len(BODIES)] + f"\n\nnumber{n}") for n in range(60)]
    alone = from_nothing(pages, tmp_path / "alone")
    monkeypatch.setattr(rag.cut, "PARALLEL_FROM_CHARS", 1)
    monkeypatch.setattr(rag.cut, "_BATCH_CHARS", 20_000)
    monkeypatch.setattr(rag.cut.os, "cpu_count", lambda: 2)
    used: list[int] = []
    pool = rag.cut.process_pool
    monkeypatch.setattr(rag.cut, "process_pool", lambda workers: used.append(workers) or pool(workers))
    together = from_nothing(pages, tmp_path / "together")
    assert used == [2]
    assert contents(together) == contents(alone)


def test_an_index_of_an_older_format(tmp_path: Path) -> None:
    """It is not read, not built upon, and makes room."""
    home = Home(tmp_path)
    pages = [Page("a.md", "A", "apple")]
    old = build_index(pages, home, CONFIG, embedder=HashedWords())
    manifest = old.folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 1}))
    with pytest.raises(NoIndexError, match=r"format 1.*docduet rag index"):
        LiveIndex(home, CONFIG, HashedWords()).retriever()
    new = build_index(pages, home, CONFIG, embedder=HashedWords())
    assert new.built
    assert not old.folder.exists()
    assert [info.id for info in Generations(home.index).list()] == [new.info.id]


def test_a_damaged_index_is_built_anew_though_nothing_changed(tmp_path: Path) -> None:
    home, pages = Home(tmp_path), [Page("a.md", "A", "apple"), Page("b.md", "B", "pear")]
    broken = build_index(pages, home, CONFIG, embedder=HashedWords())
    np.save(broken.folder / "vectors.npy", np.zeros((1, 64), np.float32))
    again = build_index(pages, home, CONFIG, embedder=HashedWords())
    assert again.built
    assert contents(again) == contents(from_nothing(pages, tmp_path / "once"))


def test_large_indexes_are_partitioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rag.vectors, "EXACT_UP_TO", 300)
    pages = [Page(f"{n}.md", f"Page {n}", f"word{n} other{n % 9} third{n % 50}") for n in range(600)]
    home = Home(tmp_path)
    generation = build_index(pages, home, CONFIG, embedder=HashedWords())
    assert (generation.folder / "vectors.faiss").exists()
    retriever = LiveIndex(home, CONFIG, HashedWords()).retriever()
    assert retriever.search("word123")[0].url == "123.md"
    assert retriever.search("word123")[0].why.dense_rank
