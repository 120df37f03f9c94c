"""Pages in, a new live index generation out. The one that serves is never touched; if anything fails, it stays.

What has been embedded before comes from the cache, and when neither pages nor settings changed nothing is built.
`docduet rag index` runs it.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data.errors import DiskFullError, EmptySourceError, NoIndexError
from data.home import Home
from data.types import Page
from rag.cache import EmbeddingCache
from rag.chunk import CHUNKER_VERSION, Chunk, chunk_page
from rag.config import RagConfig
from rag.embed import Embedder, load_embedder
from rag.generation import FORMAT, GenerationInfo, IndexGeneration, Manifest, write
from rag.generations import Generations
from rag.lexical import LEXICAL_VERSION

Progress = Callable[[str, int, int], None]
"""Called with (stage: "chunk" | "embed" | "write", done, total)."""


def build_index(
    pages: Iterable[Page],
    home: Home,
    config: RagConfig,
    progress: Progress | None = None,
    embedder: Embedder | None = None,
) -> IndexGeneration:
    """Make an index of ``pages`` the live one; ``.built`` is False when it already was.

    Raises EmptySourceError when there is nothing to index, BusyError while another build runs, DiskFullError.
    """
    report = progress or (lambda stage, done, total: None)
    generations = Generations(home.index)
    with generations.building(), _disk_full_said(home.root):
        embedder = embedder or load_embedder(config.embedder)
        everything = sorted(pages, key=lambda page: page.url)
        recipe = _recipe(embedder, config)
        key = _key(everything, recipe)
        live = _live(generations)
        if live and live.manifest.key == key:
            return live
        clock = _Clock()
        chunked = list(_chunked(everything, config, report))
        if not any(chunks for _, chunks in chunked):
            raise EmptySourceError(
                "there are no pages to index: run `docduet sync FOLDER` with the folder of your docs"
            )
        clock.lap("chunk")
        texts = [chunk.searchable for _, chunks in chunked for chunk in chunks]
        with EmbeddingCache(home.cache / "embeddings.sqlite") as cache:
            vectors, computed = cache.embed(embedder, texts, lambda done, total: report("embed", done, total))
        clock.lap("embed")
        report("write", 0, 1)
        name, folder = generations.start()
        try:
            write(folder, chunked, vectors)
            info = GenerationInfo(
                name, len(everything), len(texts), embedder.name, time.time(), embedder.fingerprint, vectors.shape[1]
            )
            hashes = {page.id: page.content_hash for page in everything}
            Manifest(info, recipe, key, hashes, _version()).save(folder)
            final = generations.publish(name, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        generations.prune(config.keep_generations)
        clock.lap("write")
        report("write", 1, 1)
        return IndexGeneration(final, built=True, timings={**clock.laps, "embedded": computed})


def _chunked(pages: Sequence[Page], config: RagConfig, report: Progress) -> Iterator[tuple[Page, list[Chunk]]]:
    for done, page in enumerate(pages, start=1):
        yield page, chunk_page(page, config.chunk_tokens)
        report("chunk", done, len(pages))


def _live(generations: Generations) -> IndexGeneration | None:
    """The live generation, if there is a sound one."""
    try:
        return IndexGeneration(generations.current())
    except (NoIndexError, OSError, ValueError, TypeError, KeyError, sqlite3.Error):
        return None


def _recipe(embedder: Embedder, config: RagConfig) -> str:
    versions = f"format {FORMAT}, chunker {CHUNKER_VERSION}, lexical {LEXICAL_VERSION}"
    return f"{embedder.name} {embedder.fingerprint}, {config.chunk_tokens} tokens, {versions}"


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


@contextmanager
def _disk_full_said(root: Path) -> Iterator[None]:
    """A full disk, whoever met it (the system, SQLite, FAISS), as one clear error."""
    try:
        yield
    except (OSError, sqlite3.Error, RuntimeError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        said = str(error).lower()
        if not (full or "disk is full" in said or "no space left" in said):
            raise
        raise DiskFullError(
            f"the disk of {root} is full: free some room and run `docduet rag index` again; "
            "the index that was there still serves"
        ) from error


class _Clock:
    """Seconds a stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now
