"""The keyring: which keys a gateway knows, how soon it learns of new ones, what holds while the database is away."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.access import keys
from serving.access.keyring import Keyring
from serving.errors import ApiError
from serving.store.database import Store
from tests.access_gateway import new_key, open_store


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


def test_keys_are_read_again_after_two_seconds_and_new_ones_are_looked_up_sooner(base: Store) -> None:

    now = [0.0]

    async def story() -> None:
        ring, anna = Keyring(base, lambda: now[0]), new_key(base)
        assert await ring.find(anna)
        with base.writing() as db:
            keys.revoke(db, "anna")
        now[0] = 1.9
        assert await ring.find(anna)
        assert (await ring.find(new_key(base, "ben"))).name == "ben"  # type: ignore[union-attr]
        now[0] = 4.0
        assert not await ring.find(anna)
        now[0] = 120.0
        await ring.any()
        assert ring._noting
        await ring._noting
        with base.reading() as db:
            assert [bool(record.last_used_at) for record in keys.everything(db)] == [True, True]

    asyncio.run(story())


async def test_a_key_is_known_in_the_moment_after_it_was_made(base: Store) -> None:
    ring, anna = Keyring(base), new_key(base)
    for secret in (anna, new_key(base, "ben"), new_key(base, "carl")):
        assert await ring.find(secret)
    assert not await ring.find(anna[:3] + "0" * 12 + anna[15:])


async def test_a_reading_that_began_before_a_key_was_made_does_not_hide_it(base: Store) -> None:
    class Slow:
        async def run(self, work: Any, *more: Any, writes: bool = True) -> Any:
            found = await base.run(work, *more, writes=writes)
            await asyncio.sleep(0.3)
            return found

    store: Any = Slow()
    ring = Keyring(store)
    anna = new_key(base)
    unknown = asyncio.create_task(ring.find(anna[:3] + "0" * 12 + anna[15:]))
    await asyncio.sleep(0.1)  # the reading is on its way
    assert await ring.find(new_key(base, "ben"))
    assert await unknown is None


def test_while_the_database_is_away_known_keys_hold_for_five_minutes(base: Store, tmp_path: Path) -> None:

    now = [0.0]

    async def story() -> None:
        ring, anna = Keyring(base, lambda: now[0]), new_key(base)
        assert await ring.find(anna)
        with sqlite3.connect(tmp_path / "docduet.sqlite") as db:
            db.execute("ALTER TABLE keys RENAME TO gone")
        now[0] = 200.0
        assert await ring.find(anna)
        now[0] = 301.0
        with pytest.raises(ApiError) as refused:
            await ring.find(anna)
        assert (refused.value.status, refused.value.code) == (503, "store_unavailable")

    asyncio.run(story())


def test_a_database_that_takes_nothing_more_still_tells_which_keys_there_are(base: Store, tmp_path: Path) -> None:
    """Locked for writing, as a full disk is: that keys were used cannot be written down, but nobody is locked out."""

    now = [0.0]

    async def story() -> None:
        ring, anna, ben = Keyring(base, lambda: now[0]), new_key(base), new_key(base, "ben")
        assert await ring.find(anna)
        with base.writing() as db:
            keys.revoke(db, "ben")
        lock = sqlite3.connect(tmp_path / "docduet.sqlite", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        for now[0] in (100.0, 200.0, 300.0, 400.0, 500.0):
            assert await ring.find(anna)
            assert not await ring.find(ben)
        lock.close()

    asyncio.run(story())
