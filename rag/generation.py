"""One index generation: an immutable folder with everything answering needs, text included.

    manifest.json        models, counts, when it was made, the pages' hashes
    chunks.sqlite        pages, and chunks as offsets into them; text stays on disk until a passage is shown
    vectors.npy          one vector a chunk; row number = chunk id (see vectors.py, also for vectors.faiss)
    vectors.json         where a database searches them, in place of vectors.faiss (see vector_store.py)
    tokens.npy           each chunk's words as numbers, with token_offsets.npy (see tokens.py)
    bm25/                the lexical index and its vocabulary; document number = chunk id

Chunks are numbered in the order of their pages' urls. All but sqlite is memory-mapped. write.py fills a folder,
`IndexGeneration` opens one. Which one is live is generations.py's business.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.types import Filters, Page
from rag.bm25 import bm25s_library
from rag.embed import Vectors
from rag.labels import LabelCount
from rag.lexical import terms
from rag.tokens import TokenTable
from rag.vector_store import open_stored
from rag.vectors import VectorIndex, load_matrix, open_vectors

FORMAT = 2


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


@dataclass(frozen=True)
class PageSpan:
    """Where a page's chunks lie. ``number``: of the page, by url; ``first``: id of its first chunk."""

    number: int
    first: int
    chunks: int


_UNSEEN = 50
"""Chunks that are taken to be there besides, without the question's words: in two alone every word would be common."""


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


@dataclass(frozen=True)
class PageRow:
    """A page in a list. ``chunks``: how many it was cut into."""

    page_id: str
    url: str
    title: str
    lang: str
    chunks: int
    product: str
    version: str


class IndexGeneration:
    """An opened generation. Thread-safe; stays usable when its folder is deleted meanwhile.

    ``vector_store``: URL of the database, for a generation whose vectors are searched there.
    ``built``: False when `build_index` found that nothing had changed. ``timings``: seconds a stage, of that build.
    """

    def __init__(
        self, folder: Path, vector_store: str = "", built: bool = False, timings: Mapping[str, float] | None = None
    ) -> None:
        self._vector_store = vector_store
        self.folder = folder
        self.manifest = Manifest.load(folder)
        self.info = self.manifest.info
        self.built = built
        self.timings = dict(timings or {})
        self._lock = threading.Lock()
        self.database = f"{(folder / 'chunks.sqlite').absolute().as_uri()}?mode=ro&immutable=1"
        self._db = sqlite3.connect(self.database, uri=True, check_same_thread=False)

    def load(self) -> IndexGeneration:
        """Read what searching needs; raises whatever is wrong with the files now rather than at the first search."""
        counts = {self.vectors.ntotal, len(self.matrix), len(self.tokens), len(self._chunk_kinds)}
        if counts != {self.info.chunks} or self.bm25.scores["num_docs"] != self.info.chunks:
            raise ValueError(f"{self.folder} is damaged: its parts do not fit together")
        return self

    @cached_property
    def vectors(self) -> VectorIndex:
        """The search over the vectors."""
        return open_stored(self.folder, self._vector_store) or open_vectors(self.folder)

    @cached_property
    def matrix(self) -> Vectors:
        """The vectors themselves, shape (chunks, dims)."""
        return load_matrix(self.folder)

    @cached_property
    def bm25(self) -> Any:
        """The bm25s index."""
        return bm25s_library().BM25.load(self.folder / "bm25", mmap=True, show_progress=False)

    @cached_property
    def tokens(self) -> TokenTable:
        """Each chunk's tokens."""
        return TokenTable.load(self.folder, list(self.bm25.vocab_dict))

    def holds(self, chunk_id: int, tokens: Sequence[str]) -> tuple[str, ...]:
        """Those of ``tokens`` that stand in the chunk or in its context."""
        present, vocabulary = set(self.tokens.of(chunk_id).tolist()), self.bm25.vocab_dict
        return tuple(token for token in tokens if vocabulary.get(token) in present)

    def term_weights(self, text: str) -> dict[str, float]:
        """Term of ``text`` -> how much it tells, 0 (in every chunk) to 1 (in none), whatever the corpus' size."""
        indptr, vocabulary, chunks = self.bm25.scores["indptr"], self.bm25.vocab_dict, self.info.chunks + _UNSEEN
        weights = {}
        for term in terms(text):
            number = vocabulary.get(term.token)
            found = 0 if number is None else int(indptr[number + 1] - indptr[number])
            weights[term.token] = float(np.log((chunks + 1) / (found + 1)) / np.log(chunks + 1)) if found else 1.0
        return weights

    def rows(self, chunk_ids: Sequence[int]) -> list[Row]:
        """The chunks with these ids, in this order."""
        found = self._in('SELECT id, page, heading_path, start, "end", context FROM chunks WHERE id', chunk_ids)
        numbers = list({row[1] for row in found})
        pages = {
            number: (told, body)
            for number, *told, body in self._in(
                "SELECT number, id, url, title, lang, labels, body FROM pages WHERE number", numbers
            )
        }
        rows = {}
        for chunk_id, number, path, start, end, context in found:
            (page_id, url, title, lang, labels), body = pages[number]
            rows[chunk_id] = Row(
                chunk_id=chunk_id,
                page_id=page_id,
                heading_path=tuple(json.loads(path)),
                start=start,
                end=end,
                text=body[start:end],
                context=context,
                url=url,
                title=title,
                lang=lang,
                labels=json.loads(labels),
            )
        return [rows[int(chunk_id)] for chunk_id in chunk_ids]

    def page(self, page_id: str) -> Page | None:
        """A page as it was when the index was built."""
        columns = "url, title, body, lang, labels, fetched_at, source"
        found = self._query(f"SELECT {columns} FROM pages WHERE id = ?", [page_id])
        if not found:
            return None
        url, title, body, lang, labels, fetched_at, source = found[0]
        return Page(url, title, body, lang, json.loads(labels), fetched_at, source)

    def chunks(self, page_id: str) -> list[Row]:
        """A page's chunks, in their order; none when there is no such page."""
        found = self._query("SELECT first, chunks FROM pages WHERE id = ?", [page_id])
        return self.rows(range(found[0][0], sum(found[0]))) if found else []

    def find_pages(self, words: str, limit: int, offset: int) -> tuple[list[PageRow], int]:
        """Pages with all of ``words`` in title or url, by url, ``limit`` of them from ``offset``; and their number."""
        escaped = [re.sub(r"([%_\\])", r"\\\1", word) for word in words.split()]
        where = " AND ".join(["(title || ' ' || url) LIKE ? ESCAPE '\\'"] * len(escaped)) or "1"
        values: list[Any] = [f"%{word}%" for word in escaped]
        total = self._query(f"SELECT count(*) FROM pages WHERE {where}", values)[0][0]
        columns = "id, url, title, lang, chunks, labels"
        sql = f"SELECT {columns} FROM pages WHERE {where} ORDER BY url LIMIT ? OFFSET ?"
        return [_page_row(*row) for row in self._query(sql, [*values, limit, offset])], total

    @cached_property
    def labels(self) -> list[LabelCount]:
        """The combinations of labels that there are."""
        field = "coalesce(json_extract(labels, '$.{}'), '')".format
        columns = f"{field('product')}, {field('version')}, lang"
        return [LabelCount(*row) for row in self._query(f"SELECT {columns}, count(*) FROM pages GROUP BY 1, 2, 3")]

    def spans(self) -> dict[str, PageSpan]:
        """Content hash -> where the chunks of a page with this content lie."""
        return {row[0]: PageSpan(*row[1:]) for row in self._query("SELECT hash, number, first, chunks FROM pages")}

    def mask(self, filters: Filters) -> NDArray[np.bool_]:
        """Which chunks' pages match, by chunk id."""
        kinds = [
            all(
                not wanted or wanted == given
                for wanted, given in (
                    (filters.lang, lang),
                    (filters.product, labels.get("product")),
                    (filters.version, labels.get("version")),
                )
            )
            for lang, labels in self._kinds
        ]
        return np.array(kinds, dtype=bool)[self._chunk_kinds]

    def in_lang(self, chunk_ids: Sequence[int], lang: str) -> list[bool]:
        """Whether each chunk's page is in that language."""
        return [self._kinds[self._chunk_kinds[chunk_id]][0] == lang for chunk_id in chunk_ids]

    @cached_property
    def page_lengths(self) -> NDArray[np.int64]:
        """Page number -> how many chunks it has."""
        lengths = [chunks for (chunks,) in self._query("SELECT chunks FROM pages ORDER BY number")]
        return np.array(lengths, dtype=np.int64)

    @cached_property
    def chunk_pages(self) -> NDArray[np.int32]:
        """Chunk id -> number of its page, 0 to pages - 1."""
        return np.repeat(np.arange(len(self.page_lengths), dtype=np.int32), self.page_lengths)

    @cached_property
    def _kinds(self) -> list[tuple[str, dict[str, str]]]:
        """The different (language, labels) that pages have: few, however many pages there are."""
        return [(lang, json.loads(labels)) for lang, labels in self._query(f"{_KINDS} ORDER BY lang, labels")]

    @cached_property
    def _chunk_kinds(self) -> NDArray[np.int32]:
        """Chunk id -> number of its page's kind."""
        kinds = {kind: n for n, kind in enumerate(self._query(f"{_KINDS} ORDER BY lang, labels"))}
        pages = self._query("SELECT chunks, lang, labels FROM pages ORDER BY number")
        numbers = np.array([kinds[lang, labels] for _, lang, labels in pages], dtype=np.int32)
        return np.repeat(numbers, [chunks for chunks, _, _ in pages])

    def _in(self, select: str, numbers: Sequence[int]) -> list[Any]:
        marks = ", ".join("?" * len(numbers))
        return self._query(f"{select} IN ({marks})", [int(number) for number in numbers])

    def _query(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()


_KINDS = "SELECT DISTINCT lang, labels FROM pages"


def _page_row(page_id: str, url: str, title: str, lang: str, chunks: int, labels: str) -> PageRow:
    given = json.loads(labels)
    return PageRow(page_id, url, title, lang, chunks, given.get("product", ""), given.get("version", ""))
