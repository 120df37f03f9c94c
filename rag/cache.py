"""Embeddings already computed, by (model, text): a sync costs what changed, a killed build goes on where it was.

One SQLite file under DOCDUET_HOME/cache. It can be deleted at any time; a damaged one is thrown away and begun anew.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rag.embed import Embedder, Vectors

GROUP = 256
"""Texts embedded between two commits: what a kill can cost."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
_LOOKUP = 500


class EmbeddingCache:
    """Vectors by model and text, in the SQLite file ``path``. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for damaged in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                damaged.unlink(missing_ok=True)
            self._db = _open(path)

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def embed(
        self, embedder: Embedder, texts: Sequence[str], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[Vectors, int]:
        """Vectors of ``texts`` in their order, and how many of them were computed rather than found."""
        groups = self.missing(embedder.fingerprint, texts)
        todo = sum(map(len, groups))
        done = len(texts) - todo
        progress(done, len(texts))
        for group in groups:
            self.put(embedder.fingerprint, group, embedder.documents(group))
            done += len(group)
            progress(done, len(texts))
        keys = [_key(embedder.fingerprint, text) for text in texts]
        known = self._find(keys)
        found = np.frombuffer(b"".join(known[key] for key in keys), dtype=np.float32)
        return found.reshape(len(keys), -1), todo

    def missing(self, model: str, texts: Sequence[str]) -> list[list[str]]:
        """The texts without a vector of ``model`` (a fingerprint), each once, by length, in groups of up to GROUP.

        Whoever embeds them, here or elsewhere, does so group by group: then the same vectors come out to the last bit.
        """
        keys = {_key(model, text): text for text in texts}
        known = self._find(list(keys))
        todo = sorted((text for key, text in keys.items() if key not in known), key=len)
        return [todo[start : start + GROUP] for start in range(0, len(todo), GROUP)]

    def put(self, model: str, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep the vectors that ``model`` (a fingerprint) gave ``texts``, in one commit."""
        rows = [(_key(model, text), vector.tobytes()) for text, vector in zip(texts, vectors, strict=True)]
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def _find(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _LOOKUP):
            part = wanted[start : start + _LOOKUP]
            marks = ", ".join("?" * len(part))
            found.update(self._db.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part))
        return found


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _key(model: str, text: str) -> bytes:
    return hashlib.sha256(f"{model}\0{text}".encode("utf-8", "surrogatepass")).digest()
