"""The provider of single sign-on: OpenID Connect's code flow with PKCE, state and nonce, by Authlib.

Authlib finds the provider's addresses and keys (discovery), trades the code for tokens and checks the ID token's
signature and claims; what it leaves to its caller is checked here: the audience, that the document is this issuer's,
that a signature is one that only the provider can make. Authlib is imported when a provider is configured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request

from serving.access.people import Person, SsoError, groups_in, person_of
from serving.config import OidcConfig

CLOCK_SKEW_S = 120
TIMEOUT_S = 10.0
KNOWN_S = 3600.0
"""The provider's addresses and keys are read again after this, and after an ID token that could not be trusted."""
FLOW_S = 900
"""So long somebody may take to sign in at the provider."""
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_BUSY = ("temporarily_unavailable", "server_error")


@dataclass(frozen=True)
class Arrival:
    """Somebody who has come from the provider. ``id_token``: to sign out there."""

    person: Person
    id_token: str


class Provider:
    """One per gateway. Whatever goes wrong is an SsoError."""

    def __init__(self, config: OidcConfig) -> None:
        from authlib.integrations.starlette_client import OAuth

        self._config = config
        self._oauth = OAuth
        self._client: Any = None
        self._known_at = float("-inf")

    async def begin(self, request: Request, back: str) -> str:
        """The provider's address to go to. It sends people ``back``, an address that is registered there.

        What must be remembered until they come back is in ``request.session``.
        """
        with self._explained():
            client = await self._known()
            return str((await client.authorize_redirect(request, back)).headers["location"])

    async def end(self, request: Request) -> Arrival:
        """Who has come back, checked. ``request.session``: as ``begin`` left it."""
        with self._explained():
            client = await self._known()
            wanted = {"iss": {"essential": True, "values": [client.server_metadata["issuer"]]}}
            wanted["aud"] = {"essential": True, "values": [self._config.client_id]}
            token = await client.authorize_access_token(request, claims_options=wanted, leeway=CLOCK_SKEW_S)
            if not token.get("userinfo"):
                raise SsoError("rejected", "the provider gave no ID token: is `openid` among the client's scopes?")
            claims = await self._claims(client, token)
        return Arrival(person_of(claims, self._config), str(token["id_token"]))

    async def sign_out(self, id_token: str, then: str) -> str:
        """The provider's address that signs out there and comes back to ``then``; "" where it has none."""
        with self._explained():
            client = await self._known()
            if not client.server_metadata.get("end_session_endpoint"):
                return ""
            about = {"client_id": self._config.client_id, "state": "signed-out"}
            made = await client.create_logout_url(post_logout_redirect_uri=then, id_token_hint=id_token, **about)
            return str(made["url"])

    async def _known(self) -> Any:
        """Authlib's client, with what the provider says of itself."""
        if self._client is None or time.monotonic() - self._known_at > KNOWN_S:
            client = self._new()
            metadata = await client.load_server_metadata()
            told = metadata.get("issuer")
            if not isinstance(told, str) or told.rstrip("/") != self._config.issuer.rstrip("/"):
                raise SsoError("provider", f"the provider calls itself {told!r}, not {self._config.issuer!r}")
            offered = metadata.get("id_token_signing_alg_values_supported") or ()
            usable = [name for name in offered if name in _ALGORITHMS] or ["RS256"]
            metadata["id_token_signing_alg_values_supported"] = usable  # never "none", nor a secret that is shared
            self._client, self._known_at = client, time.monotonic()
        return self._client

    def _new(self) -> Any:
        config = self._config
        about: dict[str, Any] = {"scope": " ".join(config.scopes), "code_challenge_method": "S256"}
        about |= {"timeout": TIMEOUT_S, "trust_env": not _is_local(config.issuer)}
        if not config.client_secret:
            about["token_endpoint_auth_method"] = "none"
        client = self._oauth().register(
            "docduet",
            client_id=config.client_id,
            client_secret=config.client_secret or None,
            server_metadata_url=config.issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs=about,
        )
        client.framework.expires_in = FLOW_S
        return client

    async def _claims(self, client: Any, token: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the ID token; what is missing there is asked for, of the same person."""
        claims = dict(token["userinfo"])
        groups = not self._config.admin_groups or groups_in(claims, self._config.groups_claim)
        if (claims.get("email") and claims.get("name") and groups) or not client.server_metadata.get(
            "userinfo_endpoint"
        ):
            return claims
        more = dict(await client.userinfo(token=token))
        if more.get("sub") != claims["sub"]:
            raise SsoError("rejected", "the provider's userinfo is about somebody else than its ID token")
        return more | claims

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever fails, as an SsoError that says what to tell them."""
        import httpx2
        from authlib.integrations.base_client.errors import MismatchingStateError, OAuthError
        from joserfc.errors import ClaimError, JoseError

        try:
            yield
        except MismatchingStateError:
            raise SsoError("state") from None
        except OAuthError as error:
            known = {"access_denied": "denied", **dict.fromkeys(_BUSY, "provider")}
            raise SsoError(known.get(error.error, "rejected"), f"{error.error}: {error.description}") from error
        except JoseError as error:
            self._client = None  # its keys may have changed
            late = isinstance(error, ClaimError) and error.claim in ("exp", "iat", "nbf")
            raise SsoError("clock" if late else "rejected", str(error)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, RuntimeError, TypeError) as error:
            raise SsoError("provider", f"{self._config.issuer}: {type(error).__name__}: {error}") from error


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
