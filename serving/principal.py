"""Who asks: the owner of conversations, votes and limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import Request

Role = Literal["staff", "admin", "service"]


@dataclass(frozen=True)
class Principal:
    """``user`` owns what is stored; two keys of one name are one user. ``key_id``: "" where no key was needed."""

    user: str
    role: Role
    key_id: str = ""


LOCAL = Principal("local", "admin")
"""Whoever reaches a gateway that asks for no keys."""


def principal_of(request: Request) -> Principal:
    """Who sent a request."""
    found: Principal = getattr(request.state, "principal", LOCAL)
    return found
