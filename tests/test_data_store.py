"""The page store: whole pages or none, many readers, files of another program."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from data.config import DataConfig
from data.errors import DiskFullError, SourceError
from data.store import FileRecord, PageStore
from data.sync import sync_source
from data.types import Filters, Page


def page(url: str, body: str = "body", source: str = "s", **labels: str) -> Page:
    lang = labels.pop("lang", "en")
    return Page(url, f"Title of {url}", body, lang, labels, 5.0, source)


def record(url: str) -> FileRecord:
    return FileRecord(url, url, 1, 2, "hash", "recipe", 3)


def put(store: PageStore, *pages: Page) -> None:
    for each in pages:
        store.put(each, record(each.url))


@pytest.fixture
def store(tmp_path: Path) -> PageStore:
    return PageStore(tmp_path / "deep" / "pages.sqlite")


def test_a_page_comes_back_as_it_went_in(store: PageStore) -> None:
    given = page("a/b.md", "正文\n\n`x`", product="Widget", version="2.1", lang="zh")
    put(store, given)
    assert store.find("a/b.md") == given
    assert store.get(given.id) == given
    assert store.hashes() == {given.id: given.content_hash}
    assert store.files("s") == {"a/b.md": record("a/b.md")}


def test_a_store_nobody_wrote_to_is_empty_and_stays_unmade(store: PageStore) -> None:
    assert list(store.pages()) == []
    assert store.count() == 0
    assert store.find("a") is None
    assert not store.path.parent.exists()


def test_filters_and_order(store: PageStore) -> None:
    put(
        store, page("b", lang="zh"), page("a", product="W", version="1"), page("c", product="W", version="2", lang="zh")
    )
    assert [p.url for p in store.pages()] == ["a", "b", "c"]
    assert [p.url for p in store.pages(Filters(lang="zh"))] == ["b", "c"]
    assert [p.url for p in store.pages(Filters(product="W", version="2"))] == ["c"]


def test_removal_touches_one_source(store: PageStore) -> None:
    put(store, page("a"), page("b"), page("c", source="other"))
    store.remove("s", ["a", "c"])
    assert [p.url for p in store.pages()] == ["b", "c"]
    assert set(store.files("s")) == {"b"}
    assert store.remove_source("s") == 1
    assert [(s.source, s.pages) for s in store.sources()] == [("other", 1)]


def test_a_failed_write_changes_nothing(store: PageStore) -> None:
    put(store, page("a", "old"))
    bad = FileRecord("a", "a", 1, 2, "hash", None, 3)  # type: ignore[arg-type]  # NOT NULL fails after the page went in
    with pytest.raises(sqlite3.IntegrityError):
        store.put(page("a", "new"), bad)
    found = store.find("a")
    assert found is not None
    assert found.body == "old"
    put(store, page("a", "newer"))
    assert store.count() == 1


def test_a_reader_sees_one_state_while_another_thread_writes(store: PageStore) -> None:
    put(store, *(page(f"p{n}", "old") for n in range(50)))
    reading = store.pages()
    first = next(reading)
    writer = threading.Thread(target=lambda: put(PageStore(store.path), *(page(f"p{n}", "new") for n in range(60))))
    writer.start()
    writer.join()
    assert {first.body, *(p.body for p in reading)} == {"old"}
    assert {p.body for p in store.pages()} == {"new"}


def test_many_threads_open_a_new_store_at_once(store: PageStore) -> None:
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            put(PageStore(store.path), page(f"p{n}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[n]) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert store.count() == 12


def test_a_file_of_another_program_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "pages.sqlite"
    path.write_text("my diary " * 500)
    with pytest.raises(SourceError, match="not a page store"):
        PageStore(path).count()
    assert path.read_text().startswith("my diary")


def test_a_full_disk_is_said_and_costs_no_page(small_disk: Path, tmp_path: Path) -> None:
    store, docs = PageStore(small_disk / "pages.sqlite"), tmp_path / "docs"
    docs.mkdir()
    (docs / "first.md").write_text("# First\n\nWritten while there was room.")
    sync_source(str(docs), store, DataConfig())
    for number in range(40):
        (docs / f"{number}.md").write_text(f"# {number}\n\n" + f"Page {number} needs room. " * 10_000)
    with pytest.raises(DiskFullError, match=r"is full: free some room and sync again"):
        sync_source(str(docs), store, DataConfig())
    assert store.find("first.md") is not None
    assert all(page.body for page in store.pages())


def test_a_newer_schema_is_refused(store: PageStore) -> None:
    put(store, page("a"))
    db = sqlite3.connect(store.path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SourceError, match="newer DocDuet"):
        PageStore(store.path).count()
