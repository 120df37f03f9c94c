"""The keys as a running gateway knows them: read again when it is asked and they are older than two seconds.

So a request costs no database, a revoked key is refused after two seconds at most, and a new one works at once. While
the database does not answer, the keys that are known hold for five minutes; then nobody is let in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from data.errors import StoreError
from serving.access import keys
from serving.access.keys import KeyRecord
from serving.errors import ApiError

if TYPE_CHECKING:
    from serving.store.database import Store

log = logging.getLogger(__name__)

REFRESH_S = 2.0
NEW_KEY_S = 0.2  # an unknown key waits until the keys known are as old as this, and is then looked up again
FIRST_S = 10.0  # the first reading, without which nobody can be let in, may take so long
PATIENCE_S = 1.0  # so long a request waits for the database later,
AWAY_S = 5.0  # which is then not asked for a while
STALE_S = 300.0
USED_S = 60.0  # how often it is written down which keys were used


class Keyring:
    """``clock``: seconds, monotonic."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, KeyRecord] = {}
        self._read_at = self._tried_at = self._used_at = float("-inf")
        self._used: dict[str, float] = {}
        self._reading = asyncio.Lock()
        self._noting: asyncio.Task[None] | None = None

    async def any(self) -> bool:
        """Whether a key was ever made, revoked ones included. ApiError 503 when that is not known."""
        await self._refresh(REFRESH_S)
        return bool(self._known)

    async def find(self, secret: str) -> KeyRecord | None:
        """The valid key that ``secret`` is. ApiError 503 when the keys are not known."""
        id = keys.id_in(secret)
        if not id:
            return None
        asked = self._clock()
        await self._refresh(REFRESH_S)
        while id not in self._known and self._tried_at < asked:  # it may have been made since the keys were read
            await asyncio.sleep(min(NEW_KEY_S, max(0.0, NEW_KEY_S - (self._clock() - self._tried_at))))
            await self._refresh(NEW_KEY_S)
        record = self._known.get(id)
        if record is None or not record.opens(secret):
            return None
        self._used[id] = time.time()
        return record

    async def _refresh(self, older_than_s: float) -> None:
        """Read the keys when they were read longer ago than this; one reads, the others wait for it."""
        if self._clock() - self._tried_at >= older_than_s:
            async with self._reading:
                if self._clock() - self._tried_at >= older_than_s:
                    await self._read()
        if self._clock() - self._read_at > STALE_S:
            message = "the database with the keys does not answer: try again soon"
            raise ApiError(message, 503, "store_unavailable", retry_after_s=REFRESH_S)

    async def _read(self) -> None:
        now = self._clock()
        try:
            async with asyncio.timeout(FIRST_S if self._read_at == float("-inf") else PATIENCE_S):
                found = await self._store.run(keys.everything, writes=False)
        except (StoreError, TimeoutError) as error:
            log.warning("the keys could not be read again: %s", error or "the database hangs")
            now += AWAY_S
        else:
            self._known = {record.id: record for record in found}
            self._read_at = now
            if self._used and now - self._used_at >= USED_S:
                self._used_at = now
                self._noting = asyncio.create_task(self._note_used())
        self._tried_at = now

    async def _note_used(self) -> None:
        """Beside the reading: a database that is full or locked still tells which keys there are."""
        used, self._used = self._used, {}
        try:
            await self._store.run(keys.used, used)
        except StoreError as error:
            log.warning("when keys were used is not written down: %s", error)
            self._used = used | self._used
