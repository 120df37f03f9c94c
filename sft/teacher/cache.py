"""Every reply of a teacher, by what was asked: a run that was killed goes on where it was and pays nothing twice.

One SQLite file (WAL) under DOCDUET_HOME/cache. A reply is written in a transaction of its own as soon as it is there,
so a kill can cost the calls that are on their way, and no more. It may be deleted: then everything is asked again.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from data.errors import ConfigError, DiskFullError
from sft.teacher.calls import Call, Reply

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    key BLOB PRIMARY KEY, model TEXT NOT NULL, kind TEXT NOT NULL, reply TEXT NOT NULL,
    seconds REAL NOT NULL, completion_tokens INTEGER NOT NULL
)
"""


class CallCache:
    """Replies by call, in the SQLite file ``path``. Raises ConfigError for a damaged one: it has cost something."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise ConfigError(
                f"the teacher's cache {path} cannot be used ({error}); move it away to begin anew"
            ) from None

    def get(self, key: bytes) -> Reply | None:
        row = self._db.execute("SELECT reply FROM calls WHERE key = ?", [key]).fetchone()
        return Reply.from_json(row[0]) if row else None

    def put(self, key: bytes, call: Call, model: str, reply: Reply) -> None:
        row = [key, model, call.kind, reply.to_json(), reply.seconds, reply.completion_tokens]
        try:
            self._db.execute("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            if "full" not in str(error):
                raise
            raise DiskFullError(f"no room left for the teacher's answers ({error}); make some and run again") from None

    def speed(self, model: str) -> float:
        """Seconds per token of an answer, over the last two hundred calls of ``model``; 0.0 where there are none."""
        last = "SELECT seconds, completion_tokens FROM calls WHERE model = ? ORDER BY rowid DESC LIMIT 200"
        seconds, tokens = self._db.execute(
            f"SELECT total(seconds), total(completion_tokens) FROM ({last})", [model]
        ).fetchone()
        return float(seconds / tokens) if tokens else 0.0

    def close(self) -> None:
        self._db.close()
