"""The retriever over whichever generation is live now: asked anew for each request, reloaded when CURRENT changes.

Whoever notices first loads the new generation; everybody else goes on with the old one meanwhile. A new generation that
cannot be used (damaged, or of another embedder) is logged, and the old one stays.
"""

from __future__ import annotations

import logging
import sqlite3
import threading

from data.errors import DocDuetError, IndexMismatchError, NoIndexError
from data.home import Home
from rag.config import RagConfig
from rag.embed import Embedder, load_embedder
from rag.generation import IndexGeneration
from rag.generations import Generations
from rag.retriever import HybridRetriever

log = logging.getLogger(__name__)

Stamp = tuple[int, int] | None
"""What tells one CURRENT from the next: inode and time of change."""

_BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError, sqlite3.Error)


class LiveIndex:
    """`retriever()` is cheap: one stat, unless there is something new."""

    def __init__(self, home: Home, config: RagConfig, embedder: Embedder | None = None) -> None:
        self.home = home
        self._generations = Generations(home.index)
        self._config = config
        self._embedder = embedder
        self._retriever: HybridRetriever | None = None
        self._seen: Stamp = None
        self._loading = threading.Lock()

    def retriever(self) -> HybridRetriever:
        """Raises NoIndexError when nothing is indexed, IndexMismatchError when it was with another embedder."""
        old, stamp = self._retriever, self._stamp()
        if old and stamp == self._seen:
            return old
        if not self._loading.acquire(blocking=old is None):
            assert old is not None
            return old
        try:
            return self._reload()
        finally:
            self._loading.release()

    def _reload(self) -> HybridRetriever:
        """Called with the lock held; another thread may have done the work meanwhile."""
        old, stamp = self._retriever, self._stamp()
        if old and stamp == self._seen:
            return old
        try:
            fresh = self._load()
        except DocDuetError as error:
            if old is None:
                raise
            log.warning("the new index is not used: %s", error)
            fresh = old
        self._retriever, self._seen = fresh, stamp
        return fresh

    def _load(self) -> HybridRetriever:
        for attempt in (1, 2):  # a generation can be pruned between reading CURRENT and opening it
            folder = self._generations.current()
            try:
                generation = IndexGeneration(folder, self._config.vector_store)
                embedder = self._embedder or load_embedder(self._config.embedder)
                _check(generation, embedder)
                return HybridRetriever(generation, embedder, self._config)
            except DocDuetError:
                raise
            except _BROKEN as error:
                if attempt == 2 or folder.is_dir():
                    raise NoIndexError(f"the index cannot be read ({error}): run `docduet rag index`") from error
        raise AssertionError("not reached")

    def _stamp(self) -> Stamp:
        try:
            status = self._generations.pointer.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


def _check(generation: IndexGeneration, embedder: Embedder) -> None:
    info = generation.info
    if info.fingerprint == embedder.fingerprint:
        return
    asked = f"{embedder.name!r}" if embedder.name != info.embedder else f"another {embedder.name!r} than that"
    raise IndexMismatchError(
        f"the index was built with embedder {info.embedder!r}, the configuration names {asked}: "
        "run `docduet rag index`, or set [rag] embedder back"
    )
