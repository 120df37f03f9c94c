"""Every reply of a model, by what was asked: a run that was killed goes on where it was and pays nothing twice.

One SQLite file (WAL) under DOCDUET_HOME/cache. A reply is written in a transaction of its own as soon as it is there,
so a kill can cost the calls that are on their way, and no more. Those are noted too: the next run makes them first, so
that a second kill finds others on their way. It may be deleted: then everything is asked again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data.chat.calls import Call, Reply
from data.disk import full_disk_said
from data.errors import ConfigError, DiskFullError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    key BLOB PRIMARY KEY, model TEXT NOT NULL, kind TEXT NOT NULL, reply TEXT NOT NULL,
    seconds REAL NOT NULL, completion_tokens INTEGER NOT NULL
);
"""


class CallCache:
    """Replies by call, in the SQLite file ``path``. Raises ConfigError for a damaged one: it has cost something."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._said(), full_disk_said(path.parent, "make some room and run again"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What the file or its folder suffers from, as ConfigError."""
        try:
            yield
        except DiskFullError:
            raise
        except (sqlite3.DatabaseError, OSError) as error:
            raise ConfigError(
                f"the replies kept in {self._path} cannot be used ({error}): make it writable, or move it away "
                "to begin anew"
            ) from None

    def get(self, key: bytes) -> Reply | None:
        with self._said():
            row = self._db.execute("SELECT reply FROM calls WHERE key = ?", [key]).fetchone()
        return Reply.from_json(row[0]) if row else None

    def put(self, key: bytes, call: Call, model: str, reply: Reply) -> None:
        row = [key, model, call.kind, reply.to_json(), reply.seconds, reply.completion_tokens]
        self._write("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?)", row)

    def sent(self, key: bytes) -> None:
        """Note that this call is on its way."""
        self._write("INSERT OR IGNORE INTO sent VALUES (?)", [key])

    def interrupted(self) -> frozenset[bytes]:
        """The calls that were on their way when a run ended."""
        self._write("DELETE FROM sent WHERE key IN (SELECT key FROM calls)", [])
        return frozenset(key for (key,) in self._db.execute("SELECT key FROM sent"))

    def _write(self, statement: str, row: Sequence[object]) -> None:
        with (
            self._said(),
            full_disk_said(self._path.parent, "the answers so far are kept; make some room, run again"),
        ):
            self._db.execute(statement, row)

    def speed(self, model: str) -> float:
        """Seconds per token of an answer, over the last two hundred calls of ``model``; 0.0 where there are none."""
        last = "SELECT seconds, completion_tokens FROM calls WHERE model = ? ORDER BY rowid DESC LIMIT 200"
        seconds, tokens = self._db.execute(
            f"SELECT total(seconds), total(completion_tokens) FROM ({last})", [model]
        ).fetchone()
        return float(seconds / tokens) if tokens else 0.0

    def close(self) -> None:
        self._db.close()
