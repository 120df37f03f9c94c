"""Who asks: the owner of conversations, votes and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fastapi import Request

Role = Literal["staff", "admin", "service"]


@dataclass(frozen=True)
class Limits:
    """Of one key; 0: no limit. ``tokens_per_minute``: prompts and answers together."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent: int = 0


@dataclass(frozen=True)
class Principal:
    """``user`` owns what is stored; two keys of one name are one user. ``key_id``: "" where no key was needed.

    ``limits``: of this key; None: those of [serving].
    """

    user: str
    role: Role
    key_id: str = ""
    limits: Limits | None = field(default=None, compare=False)


LOCAL = Principal("local", "admin")
"""Whoever reaches a gateway that asks for no keys."""

ANONYMOUS = Principal("", "service")
"""Whoever comes without a key to what is open to all, on a gateway that asks for keys."""


def principal_of(request: Request) -> Principal:
    """Who sent a request: nobody, where no one has looked (serving/access/middleware.py does)."""
    found: Principal = getattr(request.state, "principal", ANONYMOUS)
    return found
