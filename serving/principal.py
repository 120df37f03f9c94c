"""Who asks: the owner of conversations, votes and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fastapi import Request

Role = Literal["staff", "admin", "service"]


SSO = "oidc:"
"""What begins the users that come by single sign-on."""


@dataclass(frozen=True)
class Limits:
    """Of one key; 0: no limit. ``tokens_per_minute``: prompts and answers together."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent: int = 0


@dataclass(frozen=True)
class Principal:
    """``user`` owns what is stored; two keys of one name are one user. ``key_id``: "" where no key was needed, the user
    for people who came by single sign-on.

    ``limits``: of this key; None: those of [serving]. ``name``: what to call them.
    """

    user: str
    role: Role
    key_id: str = ""
    limits: Limits | None = field(default=None, compare=False)
    name: str = field(default="", compare=False)

    @property
    def sign_in(self) -> str:
        """How they came: "key", "sso", or "" where nobody signs in."""
        return "sso" if self.key_id.startswith(SSO) else "key" if self.key_id else ""


LOCAL = Principal("local", "admin")
"""Whoever reaches a gateway that asks for no keys."""

ANONYMOUS = Principal("", "service")
"""Whoever comes without a key to what is open to all, on a gateway that asks for keys."""


def principal_of(request: Request) -> Principal:
    """Who sent a request: nobody, where no one has looked (serving/access/middleware.py does)."""
    found: Principal = getattr(request.state, "principal", ANONYMOUS)
    return found
