"""Keys: made, listed and revoked in the database's ``keys`` table; never kept in clear.

A key is ``dd_ID_SECRET``: 12 hex digits that name it and 32 random bytes. What is kept is its SHA-256: a slow hash
protects passwords, which can be guessed; 256 random bits cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from data.errors import KeyNotFoundError
from serving.principal import Limits, Role
from serving.store.tables import Key

_FORM = re.compile(r"dd_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_LIMITS = frozenset(limit.name for limit in fields(Limits))


@dataclass(frozen=True)
class KeyRecord:
    """A key without its secret. Times are Unix seconds. ``limits``: its own, by the names of ``Limits``."""

    id: str
    name: str
    role: Role
    hash: str
    created_at: float
    revoked_at: float | None = None
    last_used_at: float | None = None
    limits: Mapping[str, int] = field(default_factory=dict)

    def opens(self, secret: str) -> bool:
        """Whether ``secret`` is this key, compared in constant time; never when it is revoked."""
        return hmac.compare_digest(self.hash, hash_of(secret)) and self.revoked_at is None

    def public(self) -> dict[str, Any]:
        """As it may be shown."""
        shown = ("id", "name", "role", "created_at", "revoked_at", "last_used_at")
        return {name: getattr(self, name) for name in shown} | {"limits": dict(self.limits)}


def hash_of(secret: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def id_in(secret: str) -> str:
    """The id that a key carries, "" when it is no key."""
    found = _FORM.fullmatch(secret)
    return found[1] if found else ""


def create(db: Session, name: str, role: Role, limits: Mapping[str, int] | None = None) -> tuple[KeyRecord, str]:
    """A new key and, for the only time, its secret."""
    id = secrets.token_hex(6)
    secret = f"dd_{id}_{secrets.token_urlsafe(32)}"
    row = Key(
        id=id,
        name=name,
        role=role,
        hash=hash_of(secret),
        created_at=time.time(),
        revoked_at=None,
        last_used_at=None,
        limits=dict(limits) if limits else None,
    )
    db.add(row)
    db.flush()
    return _record(row), secret


def everything(db: Session) -> list[KeyRecord]:
    """All keys, the oldest first, revoked ones included."""
    return [_record(row) for row in db.scalars(select(Key).order_by(Key.created_at, Key.id))]


def revoke(db: Session, which: str, needed: bool = True) -> list[KeyRecord]:
    """Revoke the key with this id, or all of this name; a key that is given whole is revoked too.

    KeyNotFoundError when no valid key is called so, and one is ``needed``.
    """
    named = or_(Key.id == (id_in(which) or which), Key.name == which)
    rows = list(db.scalars(select(Key).where(named, Key.revoked_at.is_(None))))
    if needed and not rows:
        shown = id_in(which) or which
        raise KeyNotFoundError(f"no valid key has the id or the name {shown!r}: see `docduet keys list`")
    for row in rows:
        row.revoked_at = time.time()
    return [_record(row) for row in rows]


def used(db: Session, last: Mapping[str, float]) -> None:
    """Remember when keys were last used: id -> Unix seconds."""
    for id, when in last.items():
        db.execute(update(Key).where(Key.id == id).values(last_used_at=when))


def _record(row: Key) -> KeyRecord:
    limits = {name: int(value) for name, value in (row.limits or {}).items() if name in _LIMITS}
    role: Any = row.role
    return KeyRecord(row.id, row.name, role, row.hash, row.created_at, row.revoked_at, row.last_used_at, limits)
