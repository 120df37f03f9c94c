"""Fills the folder of a new index generation; generation.py says what lies there and reads it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.arrays import save_rows
from rag.bm25 import bm25_of
from rag.plan import Layout

_SCHEMA = """
CREATE TABLE pages (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, hash TEXT NOT NULL, first INTEGER NOT NULL, chunks INTEGER NOT NULL,
    url TEXT NOT NULL, title TEXT NOT NULL, lang TEXT NOT NULL, labels TEXT NOT NULL, fetched_at REAL NOT NULL,
    source TEXT NOT NULL, body TEXT NOT NULL
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, page INTEGER NOT NULL, heading_path TEXT NOT NULL, start INTEGER NOT NULL,
    "end" INTEGER NOT NULL, context TEXT NOT NULL
);
"""
# The body stands last: reading what stands before it then does not read through it.


def write_rows(path: Path, layout: Layout) -> None:
    """Pages and chunks; the rows of chunks that the live index holds are copied inside SQLite."""
    db = sqlite3.connect(path, uri=True)
    try:
        db.execute("PRAGMA journal_mode = OFF")  # the folder is thrown away unless it is completed
        db.execute("PRAGMA synchronous = OFF")  # ... and synced as a whole
        db.executescript(_SCHEMA)
        live = layout.plan.live
        if live:
            db.execute("ATTACH ? AS live", [live.database])
        with db:
            db.executemany("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _page_rows(layout))
            _write_chunks(db, layout)
        db.execute("CREATE UNIQUE INDEX pages_by_id ON pages (id)")
    finally:
        db.close()


def write_bm25(folder: Path, layout: Layout) -> None:
    """The tokens and the matrix that follows from them."""
    table = layout.tokens()
    table.save(folder)
    bm25_of(table).save(folder / "bm25", show_progress=False)


def write_vectors(folder: Path, layout: Layout) -> None:
    """One row a chunk, exactly as the embedder gave it."""
    save_rows(folder / "vectors.npy", layout.vectors())


def _page_rows(layout: Layout) -> Iterator[tuple[Any, ...]]:
    plan = layout.plan
    for number, (page, content) in enumerate(zip(plan.pages, plan.hashes, strict=True)):
        first, chunks = layout.firsts[number], layout.firsts[number + 1] - layout.firsts[number]
        labels = json.dumps(dict(page.labels), ensure_ascii=False, sort_keys=True)
        told = (page.url, page.title, page.lang, labels, page.fetched_at, page.source, page.body)
        yield number, page.id, content, first, chunks, *told


def _write_chunks(db: sqlite3.Connection, layout: Layout) -> None:
    fresh = list(_fresh_rows(layout))
    for run in layout.runs:
        if run.live:
            db.execute(
                'INSERT INTO chunks SELECT id + ?, page + ?, heading_path, start, "end", context '
                "FROM live.chunks WHERE id >= ? AND id < ?",
                [run.to - run.start, run.shift, run.start, run.end],
            )
        else:
            rows = enumerate(fresh[run.start : run.end], start=run.to)
            db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", ((number, *row) for number, row in rows))


def _fresh_rows(layout: Layout) -> Iterator[tuple[Any, ...]]:
    """The fresh chunks as rows without their numbers."""
    for number, chunks in zip(layout.plan.to_do, layout.fresh.chunks, strict=True):
        for chunk in chunks:
            path = json.dumps(chunk.heading_path, ensure_ascii=False)
            yield number, path, chunk.start, chunk.end, chunk.context
