"""A provider of single sign-on for tests: discovery, a login form, tokens, keys and userinfo, over real HTTP.

It checks what a real one checks: the client's secret, the address to come back to, PKCE, and that a code is used once.
``lies`` makes it misbehave: claims of the next ID tokens, or "key" for a signature by a key that it does not publish.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import unquote, urlencode

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.fake_gateway import in_thread

CLIENT, SECRET = "docduet", "s3cret/with+signs"
PEOPLE: dict[str, dict[str, Any]] = {
    "anna": {"name": "Anna Berg", "email": "anna@example.com", "groups": ["support"]},
    "ben": {"name": "Ben Ode", "email": "ben@example.com", "groups": ["support"]},
    "olga": {"name": "Olga 管理", "email": "olga@example.com", "groups": ["support", "docs-admins"]},
    "eve": {"name": "Eve", "email": "eve@elsewhere.test", "groups": []},
}


@dataclass
class FakeOidc:
    """``url``: where it listens. ``codes``: code -> what was asked for; ``signed_out``: queries of signing out."""

    url: str = ""
    lies: dict[str, Any] = field(default_factory=dict)
    thin: bool = False  # the ID token says only who; the rest is in userinfo
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    signed_out: list[dict[str, str]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, auto_kid=True))

    def app(self) -> FastAPI:
        app = FastAPI()
        app.get("/.well-known/openid-configuration")(self._discovery)
        app.get("/jwks")(lambda: KeySet([self.key]).as_dict(private=False))
        app.get("/authorize")(self._form)
        app.post("/authorize")(self._authorize)
        app.post("/token")(self._token)
        app.get("/userinfo")(self._userinfo)
        app.get("/end")(self._end)
        return app

    def _discovery(self) -> dict[str, Any]:
        self.fetched.append("discovery")
        ends = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in _ENDPOINTS.items()}
        about = {"issuer": self.lies.get("issuer", self.url), "jwks_uri": f"{self.url}/jwks"}
        return {**about, **ends, "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"]}

    def _form(self, request: Request) -> HTMLResponse:
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in request.query_params.items()
        )
        return HTMLResponse(
            f"<h1>Example Login</h1><form method=post>{fields}"
            '<label>Who <input id="who" name="who"></label><button id="go">Log in</button>'
            '<button id="no" name="deny" value="1">Cancel</button></form>'
        )

    async def _authorize(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        return RedirectResponse(self.answer(form), 303)

    def answer(self, asked: dict[str, str]) -> str:
        """Where a person who filled in the form is sent: ``who`` they say they are, or ``deny``."""
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256"
        back = {"state": asked["state"]}
        if "deny" in asked or asked["who"] not in PEOPLE:
            return f"{asked['redirect_uri']}?{urlencode(back | {'error': 'access_denied', 'error_description': 'no'})}"
        code = secrets.token_hex(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode(back | {'code': code})}"

    def _token(
        self,
        request: Request,
        code: str = Form(),
        redirect_uri: str = Form(),
        code_verifier: str = Form(),
        grant_type: str = Form(),
    ) -> JSONResponse:
        given = b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if [unquote(part) for part in given.split(":")] != [CLIENT, SECRET]:
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self.codes.pop(code, None)
        proof = urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).decode().rstrip("=")
        if asked is None or (asked["redirect_uri"], asked["code_challenge"]) != (redirect_uri, proof):
            return JSONResponse({"error": "invalid_grant", "error_description": "unknown code or wrong proof"}, 400)
        assert grant_type == "authorization_code"
        access = secrets.token_hex(16)
        self.tokens[access] = asked["who"]
        body = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        return JSONResponse(body if self.lies.get("no_id_token") else body | {"id_token": self._id_token(asked)})

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {"iss": self.url, "sub": asked["who"], "aud": CLIENT, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"]} | ({} if self.thin else self._about(asked["who"]))
        claims |= self.lies
        key = RSAKey.generate_key(2048) if "key" in self.lies else self.key
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, key)

    def _about(self, who: str) -> dict[str, Any]:
        return {"email_verified": True, **PEOPLE[who]}

    def _userinfo(self, request: Request) -> Response:
        who = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if who is None:
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse({"sub": self.lies.get("userinfo_sub", who), **self._about(who)})

    def _end(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.signed_out.append(asked)
        return RedirectResponse(f"{asked['post_logout_redirect_uri']}?{urlencode({'state': asked['state']})}", 303)


_ENDPOINTS = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "end"}


@contextmanager
def provider() -> Iterator[FakeOidc]:
    """A provider that listens."""
    fake = FakeOidc()

    def make(url: str) -> FastAPI:
        fake.url = url
        return fake.app()

    with in_thread(make):
        yield fake
