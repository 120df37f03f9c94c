"""The page store: one SQLite file, many readers, one writer.

Every write is one transaction, so a killed writer leaves whole pages, old or new. Beside the pages lies what the last
sync saw of each file, so that the next one reads only what changed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from data.errors import SourceError
from data.types import Filters, Page, page_id

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE pages (
    id TEXT PRIMARY KEY, url TEXT NOT NULL UNIQUE, title TEXT NOT NULL, body TEXT NOT NULL, lang TEXT NOT NULL,
    product TEXT NOT NULL, version TEXT NOT NULL, fetched_at REAL NOT NULL, source TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX pages_by_source ON pages (source);
CREATE TABLE files (
    source TEXT NOT NULL, path TEXT NOT NULL, url TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    raw_hash TEXT NOT NULL, recipe TEXT NOT NULL, seen_at_ns INTEGER NOT NULL, PRIMARY KEY (source, path)
) WITHOUT ROWID;
"""
_SYNCS = "CREATE TABLE IF NOT EXISTS syncs (source TEXT PRIMARY KEY, ended_at REAL NOT NULL) WITHOUT ROWID"
"""Made when it is needed: stores that were written before it was there go on as they are."""
_PAGE_COLUMNS = "url, title, body, lang, product, version, fetched_at, source"


@dataclass(frozen=True)
class FileRecord:
    """What the last sync saw of one file. ``recipe`` names everything else that shaped the page (see data/sync.py)."""

    path: str
    url: str
    size: int
    mtime_ns: int
    raw_hash: str
    recipe: str
    seen_at_ns: int


@dataclass(frozen=True)
class SourceSummary:
    """One source in the store. ``synced_at``: when its last sync ended (seconds since the epoch; 0.0: not known)."""

    source: str
    pages: int
    fetched_at: float
    synced_at: float = 0.0


class PageStore:
    """Pages by url, in the SQLite file ``path`` (made, with its folder, on the first write)."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._writer: sqlite3.Connection | None = None

    def pages(self, filters: Filters = Filters()) -> Iterator[Page]:  # noqa: B008  (frozen)
        """All pages that match, ordered by url: one consistent state, whatever is written meanwhile."""
        wanted = {"product": filters.product, "version": filters.version, "lang": filters.lang}
        given = {column: value for column, value in wanted.items() if value}
        where = " AND ".join(f"{column} = :{column}" for column in given) or "1"
        with self._reading() as db:
            for row in db.execute(f"SELECT {_PAGE_COLUMNS} FROM pages WHERE {where} ORDER BY url", given):
                yield _page(row)

    def get(self, page_id: str) -> Page | None:
        """The page with this id."""
        return self._one("id", page_id)

    def find(self, url: str) -> Page | None:
        """The page with this url."""
        return self._one("url", url)

    def hashes(self) -> dict[str, str]:
        """Page id -> content hash."""
        with self._reading() as db:
            return dict(db.execute("SELECT id, hash FROM pages"))

    def count(self) -> int:
        """Number of pages."""
        with self._reading() as db:
            return int(db.execute("SELECT count(*) FROM pages").fetchone()[0])

    def sources(self) -> list[SourceSummary]:
        """The sources that own pages, by name."""
        with self._reading() as db:
            rows = db.execute("SELECT source, count(*), max(fetched_at) FROM pages GROUP BY source ORDER BY source")
            found = [SourceSummary(*row) for row in rows]
            ended = dict(db.execute("SELECT * FROM syncs")) if _has_syncs(db) else {}
        return [replace(summary, synced_at=ended.get(summary.source, 0.0)) for summary in found]

    def synced(self, source: str) -> None:
        """Note that a sync of ``source`` has ended just now."""
        with self._writing() as db:
            db.execute(_SYNCS)
            db.execute("INSERT OR REPLACE INTO syncs VALUES (?, ?)", [source, time.time()])

    def owners(self) -> dict[str, str]:
        """Url -> source."""
        with self._reading() as db:
            return dict(db.execute("SELECT url, source FROM pages"))

    def files(self, source: str) -> dict[str, FileRecord]:
        """Path -> what the last sync of ``source`` saw."""
        columns = "path, url, size, mtime_ns, raw_hash, recipe, seen_at_ns"
        with self._reading() as db:
            rows = db.execute(f"SELECT {columns} FROM files WHERE source = ?", [source])
            return {row[0]: FileRecord(*row) for row in rows}

    def put(self, page: Page, record: FileRecord) -> None:
        """Write one page and what it was made from, in one transaction."""
        labels = page.labels
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(page_id(page.url), page.url, page.title, page.body, page.lang),
                    *(labels.get("product", ""), labels.get("version", "")),
                    *(page.fetched_at or time.time(), page.source, page.content_hash),
                ],
            )
            _remember(db, page.source, [record])

    def remember(self, source: str, records: Iterable[FileRecord]) -> None:
        """Note files whose pages stay as they are."""
        with self._writing() as db:
            _remember(db, source, records)

    def remove(self, source: str, urls: Iterable[str]) -> None:
        """Delete pages of ``source``, and what is known of their files, in one transaction."""
        with self._writing() as db:
            for url in urls:
                db.execute("DELETE FROM pages WHERE source = ? AND url = ?", [source, url])
                db.execute("DELETE FROM files WHERE source = ? AND url = ?", [source, url])

    def remove_source(self, source: str) -> int:
        """Delete a whole source; the number of pages deleted."""
        with self._writing() as db:
            db.execute("DELETE FROM files WHERE source = ?", [source])
            if _has_syncs(db):
                db.execute("DELETE FROM syncs WHERE source = ?", [source])
            return db.execute("DELETE FROM pages WHERE source = ?", [source]).rowcount

    def close(self) -> None:
        """Close the writing connection, if there is one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _one(self, column: str, value: str) -> Page | None:
        with self._reading() as db:
            row = db.execute(f"SELECT {_PAGE_COLUMNS} FROM pages WHERE {column} = ?", [value]).fetchone()
        return _page(row) if row else None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A short-lived connection: safe from any thread. A store that was never written reads as empty."""
        if not self.path.exists():
            db = sqlite3.connect(":memory:")
            db.executescript(_SCHEMA)
        else:
            db = self._connect()
        try:
            yield db
        finally:
            db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
        self._writer.execute("BEGIN IMMEDIATE")
        with self._writer:
            yield self._writer

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            self._prepare(db)
        except sqlite3.DatabaseError as error:
            db.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise SourceError(f"{self.path} is not a page store ({error}); move it away and sync again") from None
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Create the tables, once, whoever comes first."""
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise SourceError(f"{self.path} was written by a newer DocDuet (schema {version}); upgrade DocDuet")
        if version == 0:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")


def _has_syncs(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'syncs'").fetchone())


def _remember(db: sqlite3.Connection, source: str, records: Iterable[FileRecord]) -> None:
    rows = [[source, *vars(record).values()] for record in records]
    db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _page(row: tuple[str, str, str, str, str, str, float, str]) -> Page:
    url, title, body, lang, product, version, fetched_at, source = row
    labels: Mapping[str, str] = {key: value for key, value in (("product", product), ("version", version)) if value}
    return Page(url, title, body, lang, labels, fetched_at, source)
