"""Who somebody is to DocDuet, from what the provider of single sign-on says of them (claims). Pure.

Claims as in OpenID Connect Core 1.0, section 5.1. An e-mail address counts only where the provider says that it was
verified, or is trusted to have done so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import DocDuetError
from serving.config import OidcConfig
from serving.principal import SSO, Role

MAX_SUB, MAX_NAME = 255, 100


class SsoError(DocDuetError):
    """A sign-in that came to nothing. ``problem``: what the sign-in page says (serving/access/page.py); the message is
    for whoever reads the log."""

    def __init__(self, problem: str, message: str = "") -> None:
        super().__init__(message or problem)
        self.problem = problem


@dataclass(frozen=True)
class Person:
    """``user`` owns conversations; ``name`` is shown."""

    user: str
    name: str
    role: Role


def owners_of(config: OidcConfig) -> str:
    """What begins the users of this provider; "" without one. Another provider's people are others."""
    issuer = config.issuer.rstrip("/")
    return f"{SSO}{hashlib.sha256(issuer.encode()).hexdigest()[:8]}:" if issuer else ""


def person_of(claims: Mapping[str, Any], config: OidcConfig) -> Person:
    """SsoError for somebody who is not let in."""
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= MAX_SUB or not sub.isprintable():
        raise SsoError("rejected", "the provider names nobody: the claim sub is missing or malformed")
    email = verified_email(claims, config)
    domain = email.rpartition("@")[2]
    if config.allowed_domains and domain not in _folded(config.allowed_domains):
        why = f"the domain {domain!r} is not in allowed_domains" if email else "there is no verified e-mail address"
        raise SsoError("not_allowed", why)
    admin = email in _folded(config.admin_emails) if email else False
    admin = admin or bool(groups_in(claims, config.groups_claim) & set(config.admin_groups))
    return Person(owners_of(config) + sub, _name(claims, sub), "admin" if admin else "staff")


def verified_email(claims: Mapping[str, Any], config: OidcConfig) -> str:
    """Their address in small letters, "" where there is none to rely on."""
    email, verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or "@" not in email:
        return ""
    sure = verified in (True, "true") or (config.trust_emails and verified is None)
    return email.strip().casefold() if sure else ""


def groups_in(claims: Mapping[str, Any], claim: str) -> set[str]:
    """The names that a claim lists: ``groups``, or ``realm_access.roles`` inside another one."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    return {found} if isinstance(found, str) else {str(name) for name in found} if isinstance(found, list) else set()


def _name(claims: Mapping[str, Any], sub: str) -> str:
    said = (claims.get(claim) for claim in ("name", "preferred_username", "email"))
    name = next((" ".join(text.split()) for text in said if isinstance(text, str) and text.strip()), sub)
    return "".join(char for char in name if char.isprintable())[:MAX_NAME] or sub


def _folded(values: tuple[str, ...]) -> set[str]:
    return {value.strip().casefold().removeprefix("@") for value in values}
