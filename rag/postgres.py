"""PostgreSQL with pgvector as the place of an index generation's vectors, through LlamaIndex's PGVectorStore.

One table a generation, filled before the generation is published and never changed after. Two pools of connections:
the one for searches cuts every connection that is held too long, so that a database that hangs cannot hang a search;
the one for builds may wait. What a generation folder says about its table is vector_store.py's business.

Needs the `postgres` extra. The URL's password stays in this module: messages and logs never hold it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from data.errors import ConfigError, VectorStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llama_index.vector_stores.postgres import PGVectorStore
    from sqlalchemy import URL, Engine

TIMEOUT_S = 3.0
"""Longest wait of a search for a connection, and for an answer (seconds)."""

HNSW = {"hnsw_m": 16, "hnsw_ef_construction": 128, "hnsw_ef_search": 200, "hnsw_dist_method": "vector_cosine_ops"}
"""pgvector's graph. ef_search: candidates looked at, four times what a search asks for by default."""

_VECTOR_DIMS, _HALF_DIMS = 2000, 4000
"""pgvector indexes vectors up to 2,000 dimensions, half-precision ones up to 4,000; larger ones have no graph."""

_SETTINGS = (
    f"SET statement_timeout = {int(TIMEOUT_S * 1000)}",
    "SET hnsw.iterative_scan = strict_order",  # goes on until a filter has enough, not over ef_search hits only
    "SET hnsw.max_scan_tuples = 200000",
    "SET hnsw.scan_mem_multiplier = 8",
)
_ID, _GROUP = "<id>", "<group>"  # stand for numbers in `_metadata`
_BATCH = 1000
"""Rows sent with one COPY."""


class Postgres:
    """A PostgreSQL database by its URL. Raises ConfigError when that is none or the drivers are missing."""

    def __init__(self, url: str) -> None:
        try:
            import llama_index.vector_stores.postgres  # noqa: F401
            import psycopg2
            import sqlalchemy.exc
        except ImportError as error:
            raise ConfigError(
                f"[rag] vector_store names PostgreSQL, but its drivers are missing ({error.name}): "
                "pip install 'docduet[postgres]'"
            ) from None
        self.failures: tuple[type[Exception], ...] = (sqlalchemy.exc.SQLAlchemyError, psycopg2.Error, OSError)
        self._url = _parsed(url)
        self._text = url

    def open(self, table: str, dims: int) -> PGVectorStore:
        """The store over an existing table, for searches; nothing is connected to yet."""
        return self._store(table, dims, _engines(self._text, True), perform_setup=False)

    def fill(
        self,
        table: str,
        vectors: NDArray[np.float32],
        groups: NDArray[np.int32],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Create ``table`` and put all ``vectors`` in it, id = row number; the graph comes last, which is faster."""
        engines = _engines(self._text, False)
        dims = vectors.shape[1]
        with self.said():
            with engines[0].connect():
                pass  # "cannot be reached" before LlamaIndex tries four things in a row
            self._store(table, dims, engines, perform_setup=True, graph=False).add([])  # creates the table
            for start in range(0, len(vectors), _BATCH):
                ids = range(start, min(start + _BATCH, len(vectors)))
                self._copy(table, (_row(i, vectors[i], int(groups[i])) for i in ids))
                progress(ids.stop, len(vectors))
            self._store(table, dims, engines, perform_setup=True).add([])  # creates the graph
            self._run(f'ANALYZE public."{_real(table)}"')

    def count(self, table: str) -> int | None:
        """Rows in ``table``; None when there is no such table. Raises VectorStoreError."""
        with self.said():
            if self._run("SELECT to_regclass(:name)", name=f'public."{_real(table)}"') is None:
                return None
            return int(self._run(f'SELECT count(*) FROM public."{_real(table)}"'))

    def drop(self, table: str) -> None:
        """Remove ``table``, if it is there.

        Raises VectorStoreError, also when somebody holds it: a builder whose machine was lost, until that is noticed.
        """
        with self.said():
            self._run(f'SET LOCAL lock_timeout = {int(TIMEOUT_S * 1000)}; DROP TABLE IF EXISTS public."{_real(table)}"')

    def explain(self, error: Exception) -> str:
        """What went wrong and what to do, without the password."""
        reason = str(getattr(error, "orig", None) or error).strip()
        reason = " ".join(reason.split())[:300]
        if self._url.password:
            reason = reason.replace(str(self._url.password), "***")
        return (
            f"the vector database {self._url.render_as_string(hide_password=True)}: {reason}. "
            "Check that PostgreSQL runs there and [rag] vector_store is right"
        )

    @contextmanager
    def said(self) -> Iterator[None]:
        """The database's failures as VectorStoreError."""
        try:
            yield
        except self.failures as error:
            raise VectorStoreError(self.explain(error)) from None

    def _run(self, statement: str, **values: Any) -> Any:
        """The first value of the answer, if there is one; on a connection that may take its time."""
        from sqlalchemy import text

        with _engines(self._text, False)[0].begin() as connection:
            result = connection.execute(text(statement), values)
            return result.scalar() if result.returns_rows else None

    def _copy(self, table: str, rows: Iterable[Sequence[str]]) -> None:
        """Put rows into the store's table: PGVectorStore's own `add` sends one INSERT a row."""
        lines = io.StringIO()
        csv.writer(lines).writerows(rows)
        lines.seek(0)
        columns, how = "node_id, text, metadata_, embedding", "FORMAT csv, FORCE_NOT_NULL (text)"
        with _engines(self._text, False)[0].begin() as connection:
            cursor: Any = connection.connection.cursor()
            cursor.copy_expert(f'COPY public."{_real(table)}" ({columns}) FROM STDIN ({how})', lines)

    def _store(
        self, table: str, dims: int, engines: tuple[Engine, Any], perform_setup: bool, graph: bool = True
    ) -> Any:
        from llama_index.vector_stores.postgres import PGVectorStore

        half = _VECTOR_DIMS < dims <= _HALF_DIMS
        settings = HNSW | ({"hnsw_dist_method": "halfvec_cosine_ops"} if half else {})
        if not perform_setup:  # PGVectorStore takes these out itself once it has created the graph
            settings = {"hnsw_ef_search": settings["hnsw_ef_search"]}
        return PGVectorStore(
            connection_string=self._url.render_as_string(hide_password=True),  # shown only: the engines are given
            async_connection_string="",
            engine=engines[0],
            async_engine=engines[1],
            table_name=table,
            embed_dim=dims,
            use_jsonb=True,
            use_halfvec=half,
            hnsw_kwargs=settings if graph and dims <= _HALF_DIMS else None,
            indexed_metadata_keys={("group", "text")},
            perform_setup=perform_setup,
            initialization_fail_on_error=True,
        )


def table_name(generation: str) -> str:
    """A generation's table, as PGVectorStore is told it (it puts ``data_`` before)."""
    return "docduet_" + re.sub(r"[^a-z0-9]", "_", generation.lower())


def _real(table: str) -> str:
    return f"data_{table}"


def _row(chunk_id: int, vector: NDArray[np.float32], group: int) -> tuple[str, str, str, str]:
    """A row as PGVectorStore writes it (id, text, metadata, vector), without text: that lies in the generation."""
    metadata = _metadata().replace(_ID, str(chunk_id)).replace(_GROUP, str(group))
    numbers = orjson.dumps(np.ascontiguousarray(vector), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return str(chunk_id), "", metadata, numbers


@cache
def _metadata() -> str:
    """LlamaIndex's metadata of a row, made once: a node for each row would take longer than sending it."""
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores.utils import node_to_metadata_dict

    node = TextNode(id_=_ID, text="", metadata={"group": _GROUP})
    return json.dumps(node_to_metadata_dict(node, remove_text=True))


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    shape = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    wrong = f"[rag] vector_store is no PostgreSQL URL: write {shape}, or leave it empty"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # neither says the password, but the URL need not be parsed to hold one
        raise ConfigError(wrong) from None
    if parsed.drivername not in ("postgresql", "postgres"):
        raise ConfigError(wrong)
    return parsed.set(drivername="postgresql+psycopg2")


@lru_cache(maxsize=8)
def _engines(url: str, searching: bool) -> tuple[Engine, Any]:
    """The pool of a URL, one a process, and the asynchronous one that PGVectorStore wants and nobody uses."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.ext.asyncio import create_async_engine

    parsed = _parsed(url)
    arguments: dict[str, Any] = {"connect_timeout": int(TIMEOUT_S), "application_name": "docduet"}
    engine = create_engine(
        parsed,
        pool_size=5,
        max_overflow=10,
        pool_timeout=TIMEOUT_S,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={key: value for key, value in arguments.items() if key not in parsed.query},
    )
    if searching:
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "checkout", _start_watch)
        event.listen(engine, "checkin", _stop_watch)
    return engine, create_async_engine(parsed.set(drivername="postgresql+asyncpg", query={}))


def _prepare(connection: Any, record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("; ".join(_SETTINGS))
    connection.commit()


def _start_watch(connection: Any, record: Any, proxy: Any) -> None:
    """psycopg2 waits without end for a server that is stopped or cut off; its own timeout cannot help there."""
    twin = socket.socket(
        fileno=os.dup(connection.fileno())
    )  # its number cannot be given to another connection meanwhile
    watch = threading.Timer(TIMEOUT_S + 0.5, _cut, [twin])
    watch.daemon = True
    watch.start()
    record.info["watch"] = watch, twin


def _stop_watch(connection: Any, record: Any) -> None:
    watch, twin = record.info.pop("watch", (None, None))
    if watch:
        watch.cancel()
        twin.close()


def _cut(twin: socket.socket) -> None:
    """Close both directions of a connection: whoever waits on it gets an error at once."""
    with suppress(OSError), twin:
        twin.shutdown(socket.SHUT_RDWR)
