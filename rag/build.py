"""Pages in, a new live index generation out. The one that serves is never touched; if anything fails, it stays.

Pages that kept their content keep their chunks, tokens and vectors: these are copied from the live index, and the new
one is the same as if it had been built from nothing. What was embedded once comes from the cache. When neither pages
nor settings changed, nothing is built.
`docduet rag index` runs it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from data.disk import full_disk_said
from data.errors import EmptySourceError, NoIndexError
from data.home import Home
from data.types import Page
from rag.cache import EmbeddingCache
from rag.chunk import CHUNKER_VERSION
from rag.config import RagConfig
from rag.cut import cut_pages
from rag.embed import Embedder, load_embedder
from rag.generation import FORMAT, GenerationInfo, IndexGeneration, Manifest
from rag.generations import Generations
from rag.lexical import LEXICAL_VERSION
from rag.plan import Fresh, Layout, Plan
from rag.tokens import joined
from rag.vector_store import still_stored, store_vectors
from rag.vectors import load_matrix, partition
from rag.write import write_bm25, write_rows, write_vectors

Progress = Callable[[str, int, int], None]
"""Called with (stage: "chunk" | "embed" | "write", done, total)."""

_ROOM = "free some room and run `docduet rag index` again; the index that was there still serves"

Farm = Callable[[Embedder, EmbeddingCache, Sequence[str], Callable[[int, int], None]], int]
"""Embeds elsewhere what the cache lacks of the texts, reports (done, total), and returns how many that were."""


def build_index(
    pages: Iterable[Page],
    home: Home,
    config: RagConfig,
    progress: Progress | None = None,
    embedder: Embedder | None = None,
    farm: Farm | None = None,
) -> IndexGeneration:
    """Make an index of ``pages`` the live one; ``.built`` is False when it already was.

    ``farm`` embeds beforehand, on other machines (ray_job.py); what it leaves is embedded here.
    Raises EmptySourceError when there is nothing to index, BusyError while another build runs, DiskFullError,
    VectorStoreError.
    """
    report = progress or (lambda stage, done, total: None)
    generations = Generations(home.index, config.vector_store)
    with generations.building(), full_disk_said(home.root, _ROOM):
        embedder = embedder or load_embedder(config.embedder)
        everything = sorted(pages, key=lambda page: page.url)
        recipe = _recipe(embedder, config)
        key = _key(everything, recipe)
        live = _live(generations, config)
        if live and live.manifest.key == key and still_stored(live.folder, config.vector_store):
            return live
        clock = _Clock()
        plan = Plan(everything, live if live and live.manifest.recipe == recipe else None)
        with EmbeddingCache(home.cache / "embeddings.sqlite") as cache:
            layout, embedded = _made(plan, embedder, cache, config, report, clock, farm)
        if not layout.chunks:
            raise EmptySourceError(
                "there are no pages to index: run `docduet sync FOLDER` with the folder of your docs"
            )
        report("write", 0, 1)
        name, folder = generations.start()
        try:
            dims = _write(folder, layout, clock, name, config.vector_store)
            info = GenerationInfo(
                name, len(everything), layout.chunks, embedder.name, time.time(), embedder.fingerprint, dims
            )
            hashes = {page.id: content for page, content in zip(everything, plan.hashes, strict=True)}
            Manifest(info, recipe, key, hashes, _version()).save(folder)
            final = generations.publish(name, folder)
        finally:
            generations.discard(folder)
        generations.prune(config.keep_generations)
        clock.lap("publish")
        report("write", 1, 1)
        return IndexGeneration(final, config.vector_store, built=True, timings={**clock.laps, "embedded": embedded})


def _made(
    plan: Plan,
    embedder: Embedder,
    cache: EmbeddingCache,
    config: RagConfig,
    report: Progress,
    clock: _Clock,
    farm: Farm | None,
) -> tuple[Layout, int]:
    """The chunks that the live index does not hold, with tokens and vectors; and how many had to be embedded."""
    pages = [plan.pages[number] for number in plan.to_do]
    cuts = list(
        cut_pages(pages, (config.chunk_tokens, config.whole_tokens), lambda done, total: report("chunk", done, total))
    )
    chunks = [found for cut in cuts for found in cut.chunks]
    tokens = joined([cut.tokens for cut in cuts])
    clock.lap("chunk")
    texts = [chunk.searchable for found in chunks for chunk in found]
    vectors, embedded = np.empty((0, 0), dtype=np.float32), 0
    if texts:
        embedding = partial(report, "embed")
        farmed = farm(embedder, cache, texts, embedding) if farm else 0
        vectors, embedded = cache.embed(embedder, texts, embedding)
        embedded += farmed
    clock.lap("embed")
    return plan.complete(Fresh(chunks, tokens, vectors)), embedded


def _write(folder: Path, layout: Layout, clock: _Clock, name: str, vector_store: str) -> int:
    """Fill the folder with all but the manifest, and the database if there is one; returns the vectors' dimensions."""
    write_rows(folder / "chunks.sqlite", layout)
    clock.lap("rows")
    write_bm25(folder, layout)
    clock.lap("bm25")
    write_vectors(folder, layout)
    if vector_store:
        store_vectors(folder, name, layout.plan.pages, np.diff(layout.firsts), load_matrix(folder), vector_store)
    else:
        partition(folder)
    clock.lap("vectors")
    return int(load_matrix(folder).shape[1])


def _live(generations: Generations, config: RagConfig) -> IndexGeneration | None:
    """The live generation, if there is a sound one of this version's format."""
    try:
        return IndexGeneration(generations.current(), config.vector_store).load()
    except (NoIndexError, OSError, ValueError, TypeError, KeyError, RuntimeError, sqlite3.Error):
        return None


def _recipe(embedder: Embedder, config: RagConfig) -> str:
    versions = f"format {FORMAT}, chunker {CHUNKER_VERSION}, lexical {LEXICAL_VERSION}"
    where = ", vectors in a store" if config.vector_store else ""
    sizes = f"{config.chunk_tokens} to {config.whole_tokens} tokens"
    return f"{embedder.name} {embedder.fingerprint}, {sizes}, {versions}{where}"


def _key(pages: Sequence[Page], recipe: str) -> str:
    """sha256 over the recipe and all of the pages that a search can show or filter by."""
    digest = hashlib.sha256(recipe.encode())
    for page in pages:
        labels = sorted(page.labels.items())
        digest.update(f"\n{page.url}\0{page.content_hash}\0{page.lang}\0{labels}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("docduet")
    except PackageNotFoundError:
        return "unknown"


class _Clock:
    """Seconds a stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now
