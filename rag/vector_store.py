"""A generation's vectors searched in a LlamaIndex vector store instead of in process: the same answers elsewhere.

The generation's folder holds vectors.npy in any case: the next build copies from it. Beside it, for a store:

    vectors.json    the table's name, how many vectors it has, their length; no address, no password
    groups.npy      chunk id -> number of its (lang, product, version): how a filter is said to the store

`store_vectors` is called while a generation is built, `forget_vectors` before its folder is deleted; `StoredVectors`
answers searches. The store itself is postgres.py's business.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.errors import VectorStoreError
from data.types import Page

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters

log = logging.getLogger(__name__)

DESCRIPTION = "vectors.json"
GROUPS = "groups.npy"

PAUSE_S = 10.0
"""A store that failed is not asked again for so long: one search in ten seconds waits for it, not every one."""


class StoredVectors:
    """Vectors in ``store``, whose ids are chunk ids and whose metadata have ``group``. Thread-safe.

    ``groups``: group number by chunk id. ``failures``: what the store raises when it cannot answer; ``explain`` puts
    that into words without secrets.
    """

    def __init__(
        self,
        store: BasePydanticVectorStore,
        groups: NDArray[np.int32],
        failures: tuple[type[Exception], ...] = (OSError,),
        explain: Callable[[Exception], str] = str,
    ) -> None:
        self._store = store
        self._groups = groups
        self._failures = failures
        self._explain = explain
        self._rest_until = 0.0
        self._said = ""

    @property
    def ntotal(self) -> int:
        return len(self._groups)

    @property
    def down(self) -> bool:
        """Whether the store failed when it was last asked."""
        return bool(self._said)

    def search(
        self, vector: NDArray[np.float32], n: int, mask: NDArray[np.bool_] | None = None
    ) -> list[tuple[int, float]]:
        """The ``n`` nearest chunks to ``vector`` (dims,) as (chunk id, inner product), best first.

        ``mask``: which chunk ids may be found. Raises VectorStoreError when the store does not answer, at once while it
        is left in peace after a failure.
        """
        wanted = None if mask is None else np.unique(self._groups[mask])
        if n < 1 or (wanted is not None and not len(wanted)):
            return []
        hits = self._guarded(vector, min(n, self.ntotal), _filters(wanted))
        allowed = [hit for hit in hits if mask is None or mask[hit[0]]]
        return sorted(allowed, key=lambda hit: (-hit[1], hit[0]))

    def _guarded(self, vector: NDArray[np.float32], n: int, filters: MetadataFilters | None) -> list[tuple[int, float]]:
        if time.monotonic() < self._rest_until:
            raise VectorStoreError(self._said)
        started = time.monotonic()
        try:
            try:
                hits = self._ask(vector, n, filters)
            except self._failures:
                if time.monotonic() - started > 0.5:
                    raise
                hits = self._ask(vector, n, filters)  # a pooled connection from before the server's restart
        except self._failures as error:
            self._fail(error)
            raise VectorStoreError(self._said) from None
        if self._said:
            log.warning("the vector store answers again")
            self._said = ""
        return hits

    def _ask(self, vector: NDArray[np.float32], n: int, filters: MetadataFilters | None) -> list[tuple[int, float]]:
        from llama_index.core.vector_stores.types import VectorStoreQuery

        found = self._store.query(
            VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=n, filters=filters)
        )
        return [
            (int(chunk_id), float(score))
            for chunk_id, score in zip(found.ids or [], found.similarities or [], strict=True)
        ]

    def _fail(self, error: Exception) -> None:
        first = not self._said
        self._said = self._explain(error)
        self._rest_until = time.monotonic() + PAUSE_S
        if first:
            log.warning("searching by words alone: %s", self._said)


def store_vectors(
    folder: Path, generation: str, pages: Sequence[Page], counts: Any, vectors: NDArray[np.float32], url: str
) -> None:
    """Put the vectors of a generation being built in ``folder`` into the store at ``url``.

    ``counts``: chunks of each page, in the order of ``vectors``. The description is written first, so that a build
    that is killed leaves a folder that says which table to drop. Raises ConfigError, VectorStoreError.
    """
    from rag.postgres import Postgres, table_name

    database, table = Postgres(url), table_name(generation)
    described = {"store": "postgresql", "table": table, "chunks": len(vectors), "dims": vectors.shape[1]}
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=1), encoding="utf-8")
    groups = np.repeat(_group_numbers(pages), counts)
    np.save(folder / GROUPS, groups)
    database.fill(table, vectors, groups)


def open_stored(folder: Path, url: str) -> StoredVectors | None:
    """The vectors that ``folder`` says are in the store at ``url``; None when they are to be searched in the folder.

    Nothing is connected to. Raises ConfigError, OSError, ValueError.
    """
    described = _described(folder)
    if described is None:
        return None
    if not url:
        log.warning("index %s is searched in its files: [rag] vector_store is empty", folder.name)
        return None
    from rag.postgres import Postgres

    database = Postgres(url)
    store = database.open(described["table"], described["dims"])
    groups = np.load(folder / GROUPS, mmap_mode="r")
    return StoredVectors(store, groups, database.failures, database.explain)


def still_stored(folder: Path, url: str) -> bool:
    """Whether the store has all that ``folder`` says it has. Raises VectorStoreError."""
    described = _described(folder)
    if described is None or not url:
        return described is None
    from rag.postgres import Postgres

    return Postgres(url).count(described["table"]) == described["chunks"]


def forget_vectors(folder: Path, url: str) -> None:
    """Remove from the store what belongs to ``folder``, which is about to be deleted. Raises VectorStoreError."""
    try:
        described = _described(folder)
    except (OSError, ValueError):
        return  # killed while it was written, before there was a table
    if described is None:
        return
    if not url:
        log.warning("table data_%s stays in the vector database: [rag] vector_store is empty", described["table"])
        return
    from rag.postgres import Postgres

    Postgres(url).drop(described["table"])


def _described(folder: Path) -> dict[str, Any] | None:
    try:
        described: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return described


def _group_numbers(pages: Sequence[Page]) -> NDArray[np.int32]:
    """Group of each page: pages that no filter can tell apart have the same one."""
    labels = [(page.lang, page.labels.get("product", ""), page.labels.get("version", "")) for page in pages]
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    return np.array([numbers[label] for label in labels], dtype=np.int32)


def _filters(groups: NDArray[np.int32] | None) -> MetadataFilters | None:
    if groups is None:
        return None
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    wanted = [str(group) for group in groups]
    return MetadataFilters(filters=[MetadataFilter(key="group", value=wanted, operator=FilterOperator.IN)])
