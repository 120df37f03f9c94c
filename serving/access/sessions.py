"""Sessions of people who came by single sign-on: in the database's ``sessions`` table, so that all gateways know them.

A token is ``ds_ID_SECRET`` and counts as a key does until it expires or its owner signs out; only its SHA-256 is kept.
What was read holds for two seconds, and for five minutes while the database does not answer.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from data.errors import StoreError
from serving.access.keyring import AWAY_S, PATIENCE_S, REFRESH_S, STALE_S
from serving.access.keys import hash_of
from serving.errors import ApiError
from serving.principal import Role
from serving.store.tables import SignIn

if TYPE_CHECKING:
    from serving.access.people import Person
    from serving.store.database import Store

log = logging.getLogger(__name__)

MAX_KNOWN = 10_000
_FORM = re.compile(r"ds_([0-9a-f]{24})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class SessionRecord:
    """A session without its token. Times are Unix seconds."""

    id: str
    hash: str
    owner: str
    name: str
    role: Role
    expires_at: float
    id_token: str


def looks_like_one(token: str) -> bool:
    """Whether ``token`` has the form of a session's, so that it is no key."""
    return bool(_FORM.fullmatch(token))


class Sessions:
    """``owners``: what begins the users whose sessions count, "" for none: those of another provider do not.

    ``clock``: seconds, monotonic.
    """

    def __init__(self, store: Store, owners: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._owners = owners
        self._clock = clock
        self._known: dict[str, tuple[SessionRecord | None, float]] = {}  # id -> as read, when
        self._away_until = float("-inf")

    async def find(self, token: str) -> SessionRecord | None:
        """The session that lasts and has this token. ApiError 503 when that is not known."""
        form = _FORM.fullmatch(token)
        if not form or not self._owners:
            return None
        found = await self._read(form[1])
        if found is None or not hmac.compare_digest(found.hash, hash_of(token)) or found.expires_at <= time.time():
            return None
        return found if found.owner.startswith(self._owners) else None

    async def begin(self, person: Person, lasts_s: float, id_token: str) -> str:
        """A new session's token. Expired ones are deleted on the way."""
        return await self._store.run(begin, person, lasts_s, id_token)

    async def end(self, token: str) -> None:
        """Other gateways learn of it within two seconds."""
        form = _FORM.fullmatch(token)
        if form:
            self._known.pop(form[1], None)
            await self._store.run(end, form[1], hash_of(token))

    async def _read(self, id: str) -> SessionRecord | None:
        known, now = self._known.get(id), self._clock()
        if known and now - known[1] < REFRESH_S:
            return known[0]
        if now >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    found = await self._store.run(find, id, writes=False)
                return self._remember(id, found, now)
            except (StoreError, TimeoutError) as error:
                log.warning("a session could not be looked up: %s", error or "the database hangs")
                self._away_until = now + AWAY_S
        if known and now - known[1] < STALE_S:
            return known[0]
        message = "the database with the sessions does not answer: try again soon"
        raise ApiError(message, 503, "store_unavailable", retry_after_s=REFRESH_S)

    def _remember(self, id: str, found: SessionRecord | None, now: float) -> SessionRecord | None:
        self._known.pop(id, None)
        self._known[id] = (found, now)
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return found


def begin(db: Session, person: Person, lasts_s: float, id_token: str) -> str:
    """A new session and, for the only time, its token."""
    id, now = secrets.token_hex(12), time.time()
    token = f"ds_{id}_{secrets.token_urlsafe(32)}"
    db.execute(delete(SignIn).where(SignIn.expires_at <= now))
    row = SignIn(
        id=id,
        hash=hash_of(token),
        owner=person.user,
        name=person.name,
        role=person.role,
        created_at=now,
        expires_at=now + lasts_s,
        id_token=id_token,
    )
    db.add(row)
    return token


def find(db: Session, id: str) -> SessionRecord | None:
    """The session with this id, expired or not."""
    row = db.get(SignIn, id)
    if row is None:
        return None
    role: Any = row.role
    return SessionRecord(row.id, row.hash, row.owner, row.name, role, row.expires_at, row.id_token)


def end(db: Session, id: str, hash: str) -> None:
    """Delete a session."""
    db.execute(delete(SignIn).where(SignIn.id == id, SignIn.hash == hash))


def end_of(db: Session, owner: str) -> int:
    """Delete all sessions of a user; how many there were."""
    result: Any = db.execute(delete(SignIn).where(SignIn.owner == owner))
    return int(result.rowcount)
