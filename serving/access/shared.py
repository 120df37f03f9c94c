"""The limits of several gateways in one PostgreSQL: ``Limiter`` with rows in place of a dictionary.

A bucket is one row that one statement refills and takes from, by the server's clock. An answer under way is a row that
expires, so that a gateway that dies does not keep its answers for ever. While the database does not answer, each
gateway counts by itself.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from data.errors import StoreError
from serving.access.limits import Level, Limiter, MemoryLimiter, level_of
from serving.config import ServingConfig
from serving.store.database import Store

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_S = 1.0
"""So long a request waits for the database."""
AWAY_S = 5.0
"""So long a database that did not answer is not asked again."""
_ALONE = "alone"

_TABLES = """
CREATE UNLOGGED TABLE IF NOT EXISTS rate_buckets
    (name text PRIMARY KEY, before float8 NOT NULL, held float8 NOT NULL, at float8 NOT NULL);
CREATE UNLOGGED TABLE IF NOT EXISTS running_answers (id text PRIMARY KEY, key text NOT NULL, until float8 NOT NULL);
CREATE INDEX IF NOT EXISTS running_answers_key ON running_answers (key)
"""
_TAKE = text("""
INSERT INTO rate_buckets AS b (name, before, held, at)
VALUES (:name, :cap, CASE WHEN CAST(:cap AS float8) >= :need THEN CAST(:cap AS float8) - :cost ELSE :cap END,
        extract(epoch FROM clock_timestamp()))
ON CONFLICT (name) DO UPDATE SET (before, held, at) = (
    SELECT filled, CASE WHEN filled >= :need THEN filled - :cost ELSE filled END, now
    FROM (SELECT now, LEAST(:cap, b.held + greatest(0, now - b.at) * :cap / 60) AS filled
          FROM (SELECT greatest(b.at, extract(epoch FROM clock_timestamp())::float8) AS now) AS clock) AS bucket)
RETURNING before
""")
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7860))")
_EXPIRE = text(f"DELETE FROM running_answers WHERE key = :name AND until < {_NOW}")
_ENTER = text(f"""
INSERT INTO running_answers (id, key, until) SELECT :id, :name, {_NOW} + :lease
WHERE (SELECT count(*) FROM running_answers WHERE key = :name) < :most RETURNING id
""")
_LEAVE = text("DELETE FROM running_answers WHERE id = :id")


class SharedLimiter:
    """``lease_s``: an answer that has not ended after this does not count any more (seconds); asked for each."""

    waits = True

    def __init__(self, store: Store, lease_s: Callable[[], float]) -> None:
        self._store = store
        self._lease_s = lease_s
        self._alone = MemoryLimiter()
        self._away_until = float("-inf")
        self._forgetting: set[asyncio.Future[Any]] = set()

    @classmethod
    def open(cls, store: Store, lease_s: Callable[[], float]) -> SharedLimiter:
        """With its tables, which are of the moment: not logged, and lost when the server crashes. Blocks."""
        with store.writing() as db:
            db.execute(_LOCK, {"name": "tables"})
            for statement in _TABLES.split(";"):
                db.execute(text(statement))
        return cls(store, lease_s)

    async def take(self, name: str, per_minute: int, cost: float = 1.0, need: float = 1.0) -> Level:
        values = {"name": name, "cap": float(per_minute), "cost": cost, "need": max(need, -1e18)}
        held = await self._ask(lambda db: db.execute(_TAKE, values).scalar_one())
        if held is None:
            return await self._alone.take(name, per_minute, cost, need)
        return level_of(float(held), per_minute, cost, need)

    async def enter(self, name: str, most: int) -> str:
        id = secrets.token_hex(8)
        asking = asyncio.ensure_future(self._ask(lambda db: self._enter(db, {"id": id, "name": name, "most": most})))
        try:
            entered = await asyncio.shield(asking)
        except asyncio.CancelledError:  # whoever asked has left, but the database may have let them in
            asking.add_done_callback(lambda _: self._forget(id))
            raise
        if entered is None:
            return _ALONE if await self._alone.enter(name, most) else ""
        return id if entered else ""

    async def leave(self, name: str, ticket: str) -> None:
        if ticket == _ALONE:
            await self._alone.leave(name, ticket)
        else:
            await self._ask(lambda db: db.execute(_LEAVE, {"id": ticket}))

    def _forget(self, id: str) -> None:
        task = asyncio.ensure_future(self._ask(lambda db: db.execute(_LEAVE, {"id": id})))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    def _enter(self, db: Session, values: dict[str, Any]) -> bool:
        db.execute(_LOCK, values)
        db.execute(_EXPIRE, values)
        return db.execute(_ENTER, values | {"lease": self._lease_s()}).first() is not None

    async def _ask(self, question: Callable[[Session], T]) -> T | None:
        """None when the database does not answer, and for a while after that: nobody is to wait for it in vain."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._store.run(question)
        except (StoreError, TimeoutError) as error:
            self._away_until = time.monotonic() + AWAY_S
            log.warning("limits are counted by this gateway alone: %s", error or "the database hangs")
            return None


def limiter_of(store: Store, config: ServingConfig) -> Limiter:
    """In PostgreSQL where there is one: several gateways may share it. Else in memory. ``config``: read anew each time,
    since a reload changes it."""
    if store.engine.dialect.name != "postgresql":
        return MemoryLimiter()
    return SharedLimiter.open(store, lambda: 2 * config.answer_timeout_s + config.queue_wait_s)
