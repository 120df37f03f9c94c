"""One index generation: an immutable folder with everything answering needs, text included.

    manifest.json    models, counts, when it was made, the pages' hashes
    chunks.sqlite    pages and chunks; text stays on disk until a passage is shown
    vectors.faiss    one vector a chunk, inner product; row number = chunk id
    bm25/            the lexical index, memory-mapped; document number = chunk id

`write` fills a folder, `IndexGeneration` opens one. Which one is live is generations.py's business.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.types import Filters, Page
from rag.chunk import Chunk
from rag.embed import Vectors
from rag.labels import LabelCount
from rag.lexical import tokenize

FORMAT = 1

_SCHEMA = """
CREATE TABLE pages (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, lang TEXT NOT NULL,
    labels TEXT NOT NULL, fetched_at REAL NOT NULL, source TEXT NOT NULL
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, page_id TEXT NOT NULL, heading_path TEXT NOT NULL, start INTEGER NOT NULL,
    "end" INTEGER NOT NULL, text TEXT NOT NULL, context TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class GenerationInfo:
    """What a generation says of itself. ``created_at``: seconds since the epoch; ``fingerprint``: the embedder's."""

    id: str
    pages: int
    chunks: int
    embedder: str
    created_at: float
    fingerprint: str = ""
    dims: int = 0


@dataclass(frozen=True)
class Manifest:
    """manifest.json. ``recipe``: everything beside the pages that shapes an index; ``key``: hash of pages + recipe."""

    info: GenerationInfo
    recipe: str
    key: str
    page_hashes: Mapping[str, str]
    docduet: str
    format: int = FORMAT

    def save(self, folder: Path) -> None:
        (folder / "manifest.json").write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Raises OSError or ValueError when it cannot be read."""
        fields = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if fields.get("format") != FORMAT:
            raise ValueError(f"{folder}: index format {fields.get('format')}, this version reads {FORMAT}")
        return cls(**{**fields, "info": GenerationInfo(**fields["info"])})


def _row(chunk_id: int, page_id: str, heading_path: str, *rest: Any) -> Row:
    *others, labels = rest
    return Row(chunk_id, page_id, tuple(json.loads(heading_path)), *others, json.loads(labels))  # type: ignore[call-arg]


@dataclass(frozen=True)
class Row:
    """A chunk as it is stored, with what its page says about it."""

    chunk_id: int
    page_id: str
    heading_path: tuple[str, ...]
    start: int
    end: int
    text: str
    context: str
    url: str
    title: str
    lang: str
    labels: Mapping[str, str] = field(default_factory=dict)


def write(folder: Path, chunked: Sequence[tuple[Page, Sequence[Chunk]]], vectors: Vectors) -> None:
    """Fill ``folder`` (existing, empty) with all but the manifest; ``vectors`` in the order of the chunks."""
    _write_rows(folder / "chunks.sqlite", chunked)
    _write_vectors(folder / "vectors.faiss", vectors)
    _write_bm25(folder / "bm25", [chunk for _, chunks in chunked for chunk in chunks])


def _write_rows(path: Path, chunked: Sequence[tuple[Page, Sequence[Chunk]]]) -> None:
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA journal_mode = OFF")  # the folder is thrown away unless it is completed
        db.execute("PRAGMA synchronous = OFF")  # ... and synced as a whole
        db.executescript(_SCHEMA)
        with db:
            db.executemany(
                "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (_page_row(page) for page, _ in chunked)
            )
            db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", _chunk_rows(chunked))
    finally:
        db.close()


def _page_row(page: Page) -> tuple[Any, ...]:
    labels = json.dumps(dict(page.labels), ensure_ascii=False)
    return page.id, page.url, page.title, page.body, page.lang, labels, page.fetched_at, page.source


def _chunk_rows(chunked: Sequence[tuple[Page, Sequence[Chunk]]]) -> Iterator[tuple[Any, ...]]:
    chunk_id = 0
    for page, chunks in chunked:
        for chunk in chunks:
            path = json.dumps(chunk.heading_path, ensure_ascii=False)
            yield chunk_id, page.id, path, chunk.start, chunk.end, chunk.text, chunk.context
            chunk_id += 1


def _write_vectors(path: Path, vectors: Vectors) -> None:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(path))


def _write_bm25(folder: Path, chunks: Sequence[Chunk]) -> None:
    import bm25s

    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index([tokenize(chunk.searchable) or [""] for chunk in chunks], show_progress=False)
    index.save(folder, show_progress=False)


class IndexGeneration:
    """An opened generation. Thread-safe; stays usable when its folder is deleted meanwhile.

    ``built``: False when `build_index` found that nothing had changed. ``timings``: seconds a stage, of that build.
    """

    def __init__(self, folder: Path, built: bool = False, timings: Mapping[str, float] | None = None) -> None:
        self.folder = folder
        self.manifest = Manifest.load(folder)
        self.info = self.manifest.info
        self.built = built
        self.timings = dict(timings or {})
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            f"{(folder / 'chunks.sqlite').absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )

    def load(self) -> IndexGeneration:
        """Read what searching needs; raises whatever is wrong with the files now rather than at the first search."""
        if self.vectors.ntotal != self.info.chunks or len(self._chunk_pages) != self.info.chunks:
            raise ValueError(f"{self.folder} is damaged: its parts do not fit together")
        _ = self.bm25
        return self

    @cached_property
    def vectors(self) -> Any:
        """The FAISS index."""
        import faiss

        return faiss.read_index(str(self.folder / "vectors.faiss"))

    @cached_property
    def bm25(self) -> Any:
        """The bm25s index."""
        import bm25s

        return bm25s.BM25.load(self.folder / "bm25", mmap=True, show_progress=False)

    def rows(self, chunk_ids: Sequence[int]) -> list[Row]:
        """The chunks with these ids, in this order."""
        marks = ", ".join("?" * len(chunk_ids))
        found = self._query(
            'SELECT c.id, c.page_id, c.heading_path, c.start, c."end", c.text, c.context, p.url, p.title, p.lang, '
            f"p.labels FROM chunks c JOIN pages p ON p.id = c.page_id WHERE c.id IN ({marks})",
            [int(chunk_id) for chunk_id in chunk_ids],
        )
        by_id = {row[0]: _row(*row) for row in found}
        return [by_id[int(chunk_id)] for chunk_id in chunk_ids]

    def page(self, page_id: str) -> Page | None:
        """A page as it was when the index was built."""
        columns = "url, title, body, lang, labels, fetched_at, source"
        found = self._query(f"SELECT {columns} FROM pages WHERE id = ?", [page_id])
        if not found:
            return None
        url, title, body, lang, labels, fetched_at, source = found[0]
        return Page(url, title, body, lang, json.loads(labels), fetched_at, source)

    @cached_property
    def labels(self) -> list[LabelCount]:
        """The combinations of labels that there are."""
        field = "coalesce(json_extract(labels, '$.{}'), '')".format
        columns = f"{field('product')}, {field('version')}, lang"
        return [LabelCount(*row) for row in self._query(f"SELECT {columns}, count(*) FROM pages GROUP BY 1, 2, 3")]

    def mask(self, filters: Filters) -> NDArray[np.bool_]:
        """Which chunks' pages match, by chunk id."""
        pages = [
            all(
                not wanted or wanted == given
                for wanted, given in (
                    (filters.lang, lang),
                    (filters.product, labels.get("product")),
                    (filters.version, labels.get("version")),
                )
            )
            for lang, labels in self._page_labels
        ]
        return np.array(pages, dtype=bool)[self._chunk_pages]

    def in_lang(self, chunk_ids: Sequence[int], lang: str) -> list[bool]:
        """Whether each chunk's page is in that language."""
        return [self._page_labels[self._chunk_pages[chunk_id]][0] == lang for chunk_id in chunk_ids]

    @cached_property
    def _page_labels(self) -> list[tuple[str, dict[str, str]]]:
        return [
            (lang, json.loads(labels)) for lang, labels in self._query("SELECT lang, labels FROM pages ORDER BY id")
        ]

    @cached_property
    def _chunk_pages(self) -> NDArray[np.int32]:
        """Chunk id -> number of its page, pages ordered by id."""
        numbers = {row[0]: n for n, row in enumerate(self._query("SELECT id FROM pages ORDER BY id"))}
        rows = self._query("SELECT page_id FROM chunks ORDER BY id")
        return np.fromiter((numbers[row[0]] for row in rows), dtype=np.int32, count=len(rows))

    def _query(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()
