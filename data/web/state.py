"""What is known of a site between requests and between syncs: crawls.sqlite beside the page store.

Three things for each source: what each visited address said last time (ETag, links: so that "not modified" needs no
text), how many syncs in a row have missed a page, and the queue of the crawl that is under way. A crawl that is killed
leaves its queue, and the next sync goes on with it. Each visit is one transaction.

The page store stays the authority: a visit whose page the store does not hold is forgotten by the crawl.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.errors import SourceError
from data.web.links import index_form, is_markdown, twin_key

_SCHEMA = """
CREATE TABLE visits (
    source TEXT, url TEXT, etag TEXT NOT NULL, modified TEXT NOT NULL, links TEXT NOT NULL, target TEXT NOT NULL,
    PRIMARY KEY (source, url)
) WITHOUT ROWID;
CREATE TABLE misses (source TEXT, page TEXT, syncs INTEGER NOT NULL, PRIMARY KEY (source, page)) WITHOUT ROWID;
CREATE TABLE crawls (source TEXT PRIMARY KEY, options TEXT NOT NULL, started REAL NOT NULL, seeded INTEGER NOT NULL);
CREATE TABLE queue (
    seq INTEGER PRIMARY KEY, source TEXT NOT NULL, url TEXT NOT NULL, twin TEXT NOT NULL, depth INTEGER NOT NULL,
    hops INTEGER NOT NULL, late INTEGER NOT NULL, listed INTEGER NOT NULL, own INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL, outcome TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    target TEXT NOT NULL DEFAULT '', UNIQUE (source, url)
);
CREATE INDEX queue_next ON queue (source, state, late, depth, seq);
CREATE INDEX queue_twins ON queue (source, twin);
CREATE INDEX queue_targets ON queue (source, target);
PRAGMA user_version = 1;
"""
_RESUMED_WITHIN_S = 24 * 3600


@dataclass(frozen=True)
class Visit:
    """What an address said last time. ``target``: the page it only stands for, by its canonical link."""

    url: str
    etag: str = ""
    modified: str = ""
    links: tuple[str, ...] = ()
    target: str = ""


@dataclass(frozen=True)
class Entry:
    """One address of the queue. ``own``: its canonical link led nowhere, so it is a page of its own; ``late``: visited
    when all others have been."""

    url: str
    depth: int
    hops: int
    listed: bool
    own: bool
    late: bool


PAGE = ("added", "changed", "unchanged")
"""Outcomes of a visit that gave a page; the others are skipped, failed, gone and elsewhere."""
_MAY_BE_A_PAGE = "NOT (outcome IN ('gone', 'skipped') OR outcome = 'elsewhere' AND target = '')"
"""Not known to give none: nothing may point to an address that has been visited in vain already."""


class CrawlState:
    """The state of one source. Use it as a context manager; ``visited`` and ``total`` count this crawl's addresses."""

    def __init__(self, path: Path, source: str) -> None:
        self.source = source
        self.visited = 0
        self.total = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            if not self._db.execute("PRAGMA user_version").fetchone()[0]:
                self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except sqlite3.DatabaseError as error:
            raise SourceError(f"{path} cannot be read ({error}); delete it and sync again") from None

    def __enter__(self) -> CrawlState:
        return self

    def __exit__(self, *error: object) -> None:
        self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is written inside is written together or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            yield

    def begin(self, options: str, held: Collection[str]) -> bool:
        """Start a crawl, or go on with an unfinished one of the same ``options``; whether its seeds are there.

        ``held``: the pages that the store has of this source. What the queue takes for read and is not among them, or
        failed, is visited again.
        """
        row = self._do("SELECT options, started, seeded FROM crawls WHERE source = :source").fetchone()
        resumed = bool(row and row[0] == options and time.time() - row[1] < _RESUMED_WITHIN_S)
        with self.writing():
            if resumed:
                lost = [url for url, outcome, _ in self.outcomes() if outcome in PAGE and url not in held]
                for url in lost:
                    self._do("UPDATE queue SET outcome = 'failed' WHERE source = :source AND url = :url", url=url)
                self._do("UPDATE queue SET state = 'todo', outcome = '' WHERE source = :source AND outcome = 'failed'")
            else:
                self._do("DELETE FROM queue WHERE source = :source")
                values = {"options": options, "now": time.time()}
                self._do("INSERT OR REPLACE INTO crawls VALUES (:source, :options, :now, 0)", **values)
        counts = self._do("SELECT count(*), count(nullif(outcome, '')) FROM queue WHERE source = :source").fetchone()
        self.total, self.visited = counts
        return resumed and bool(row[2])

    def seeded(self) -> None:
        """Sitemaps and llms.txt have been read into the queue."""
        self._do("UPDATE crawls SET seeded = 1 WHERE source = :source")

    def finish(self, complete: bool) -> None:
        """The crawl is over: its queue goes; after a ``complete`` one also what is known of addresses not found."""
        with self.writing():
            if complete:
                found = "SELECT url FROM queue WHERE source = :source"
                self._do(f"DELETE FROM visits WHERE source = :source AND url NOT IN ({found})")
            self._do("DELETE FROM queue WHERE source = :source")
            self._do("DELETE FROM crawls WHERE source = :source")

    def forget(self) -> None:
        """Nothing is known of the source any more."""
        with self.writing():
            for table in ("visits", "misses", "crawls", "queue"):
                self._do(f"DELETE FROM {table} WHERE source = :source")

    def add(self, url: str, depth: int, hops: int = 0, listed: bool = False) -> None:
        """Put an address into the queue unless it is there; a twin of one that is there only points to it.

        ``listed``: named by llms.txt, so preferred to its HTML twin; any other Markdown waits for that twin.
        """
        if self._do("SELECT 1 FROM queue WHERE source = :source AND url = :url", url=url).fetchone():
            return
        target = self._twin(url, listed)
        self._do(
            "INSERT INTO queue (source, url, twin, depth, hops, late, listed, state, target) "
            "VALUES (:source, :url, :twin, :depth, :hops, :late, :listed, :state, :target)",
            url=url,
            twin=twin_key(url),
            depth=depth,
            hops=hops,
            late=is_markdown(url) and not listed,
            listed=listed,
            state="alias" if target else "todo",
            target=target,
        )
        self.total += 1

    def _twin(self, url: str, listed: bool) -> str:
        """The address in the queue that is read instead of ``url``, or ""."""
        rows = self._do(
            "SELECT url, state, listed, outcome FROM queue "
            f"WHERE source = :source AND twin = :twin AND state != 'alias' AND {_MAY_BE_A_PAGE}",
            twin=twin_key(url),
        ).fetchall()
        for other, state, other_listed, outcome in rows:
            if index_form(other) == index_form(url) or (is_markdown(url) and not is_markdown(other) and not listed):
                return str(other)
            if is_markdown(other) and not is_markdown(url):
                if other_listed or outcome in PAGE:
                    return str(other)
                if state == "todo":  # unlisted Markdown that has not been read: this page comes in its place
                    self._point(other, url)
        return ""

    def preferred(self, url: str) -> str:
        """The address that is read instead of this one since it was queued (a listed or an HTML twin), or ""."""
        sql = "SELECT state, target, listed FROM queue WHERE source = :source AND url = :url"
        state, target, own_listed = self._do(sql, url=url).fetchone() or ("", "", 0)
        if state == "alias":
            return str(target)
        sql = (
            "SELECT url, listed FROM queue WHERE source = :source AND twin = :twin AND url != :url "
            "AND state != 'alias' AND outcome NOT IN ('gone', 'skipped', 'failed', 'elsewhere')"
        )
        for other, listed in self._do(sql, url=url, twin=twin_key(url)).fetchall():
            if is_markdown(url) and own_listed:  # the twin stands aside, whichever of the two answers first
                continue
            if is_markdown(other) if listed else is_markdown(url) and not is_markdown(other):
                return str(other)
        return ""

    def next(self, busy: Collection[str]) -> Entry | None:
        """The next address to visit: near ones first, in the order they were found."""
        rows = self._do(
            "SELECT url, depth, hops, listed, own, late FROM queue WHERE source = :source AND state = 'todo' "
            "ORDER BY late, depth, seq LIMIT :limit",
            limit=len(busy) + 1,
        )
        found = next((row for row in rows if row[0] not in busy), None)
        return Entry(*found[:3], *map(bool, found[3:])) if found else None

    def done(self, url: str, outcome: str, reason: str = "", target: str = "") -> None:
        """What came of a visit. Where it gave no page, addresses that pointed here are pages of their own."""
        self._do(
            "UPDATE queue SET state = 'done', outcome = :outcome, reason = :reason, target = :target "
            "WHERE source = :source AND url = :url",
            url=url,
            outcome=outcome,
            reason=reason,
            target=target,
        )
        self.visited += 1
        nowhere = outcome == "elsewhere" and (not target or self.leads_back(target, url))
        if nowhere or outcome in ("gone", "skipped"):
            self.release(url)

    def release(self, target: str) -> int:
        """Queue what pointed to ``target``, also through redirects, as pages of their own; their number."""
        released, seen = 0, {target}
        left = [target]
        while left:
            where = "WHERE source = :source AND target = :target"
            found = left.pop()
            released += self._do(
                f"UPDATE queue SET state = 'todo', outcome = '', own = 1, target = '' {where} AND state = 'alias'",
                target=found,
            ).rowcount
            rows = self._do(f"SELECT url FROM queue {where} AND outcome = 'elsewhere'", target=found).fetchall()
            left += [url for (url,) in rows if url not in seen]
            seen.update(left)
        return released

    def again(self, url: str) -> None:
        """Visit an address once more, as a page of its own."""
        self._do("UPDATE queue SET state = 'todo', own = 1 WHERE source = :source AND url = :url", url=url)

    def postpone(self, url: str) -> None:
        """Visit an address that llms.txt lists once more, after all others, unless an HTML twin takes its place."""
        self._do("UPDATE queue SET listed = 0, late = 1 WHERE source = :source AND url = :url", url=url)

    def alias(self, url: str, target: str) -> None:
        """A visit showed that ``url`` only stands for ``target``."""
        self._point(url, target, "elsewhere")
        self.visited += 1

    def _point(self, url: str, target: str, outcome: str = "") -> None:
        self._do(
            "UPDATE queue SET state = 'alias', target = :target, outcome = :outcome "
            "WHERE source = :source AND url = :url",
            url=url,
            target=target,
            outcome=outcome,
        )

    def leads_back(self, target: str, url: str) -> bool:
        """Whether ``target`` is known to give no page, or points (through others) back to ``url``."""
        for _ in range(20):
            sql = "SELECT state, outcome, target FROM queue WHERE source = :source AND url = :target"
            row = self._do(sql, target=target).fetchone()
            if row is None or row[0] == "todo":
                return False
            if row[0] == "done" and not row[2]:
                return row[1] not in (*PAGE, "failed")
            target = row[2]
            if target == url:
                return True
        return True

    def now_at(self, url: str) -> str:
        """The address of the page that this crawl found in place of ``url``, which may be ``url``; "" for none."""
        for _ in range(20):
            sql = "SELECT outcome, target FROM queue WHERE source = :source AND url = :url"
            outcome, target = self._do(sql, url=url).fetchone() or ("", "")
            if not target:
                return url if outcome in PAGE else ""
            url = target
        return ""

    def outcomes(self) -> list[tuple[str, str, str]]:
        """(address, outcome, reason) of every visit of this crawl that is over."""
        sql = "SELECT url, outcome, reason FROM queue WHERE source = :source AND state = 'done' ORDER BY seq"
        return self._do(sql).fetchall()

    def visit(self, url: str) -> Visit:
        """What the address said last time; empty when it was never visited."""
        sql = "SELECT etag, modified, links, target FROM visits WHERE source = :source AND url = :url"
        row = self._do(sql, url=url).fetchone()
        return Visit(url, row[0], row[1], tuple(json.loads(row[2])), row[3]) if row else Visit(url)

    def remember(self, visit: Visit) -> None:
        """Note what an address said."""
        self._do(
            "INSERT OR REPLACE INTO visits VALUES (:source, :url, :etag, :modified, :links, :target)",
            **{**vars(visit), "links": json.dumps(visit.links)},
        )

    def miss(self, lost: Iterable[str]) -> dict[str, int]:
        """Count one more sync that missed these pages, and forget the misses of all others; page -> syncs in a row."""
        before = dict(self._do("SELECT page, syncs FROM misses WHERE source = :source").fetchall())
        now = {page: before.get(page, 0) + 1 for page in lost}
        with self.writing():
            self._do("DELETE FROM misses WHERE source = :source")
            for page, syncs in now.items():
                self._do("INSERT INTO misses VALUES (:source, :page, :syncs)", page=page, syncs=syncs)
        return now

    def _do(self, sql: str, **values: object) -> sqlite3.Cursor:
        return self._db.execute(sql, {"source": self.source, **values})
