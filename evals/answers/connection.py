"""What asking a gateway over HTTP takes: where it is, the client, what its errors say, and when to try again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from data.address import local_url
from data.errors import ConfigError
from data.settings import Settings

TRIES = 5
LONGEST_WAIT_S = 60.0
TIMEOUT = httpx.Timeout(30.0, read=300.0)


def gateway_here(settings: Settings) -> str:
    """The gateway of this configuration. evals may not import serving: the table is read by its name."""
    serving: Any = settings.tables()["serving"]
    return local_url(serving.host, serving.port)


def connect(url: str, key: str) -> httpx.AsyncClient:
    """A client of the gateway at ``url``; no proxy stands before one on this machine. Raises ConfigError."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    try:
        return httpx.AsyncClient(
            base_url=url, headers=headers, timeout=TIMEOUT, trust_env=not local, limits=httpx.Limits()
        )
    except httpx.InvalidURL as error:
        raise ConfigError(
            f"--gateway {url!r} is no address ({error}): give one such as http://127.0.0.1:7860"
        ) from None


def worth_trying_again(response: httpx.Response) -> bool:
    """Whether the same request may be answered later: the gateway is busy, starting or failing."""
    return response.status_code == 429 or response.status_code >= 500


def message_of(response: httpx.Response) -> str:
    """What an error says (OpenAI's shape), else its status. The body must have been read."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(response.content)["error"]["message"])
    return f"HTTP {response.status_code}"


def wait_s(attempt: int, response: httpx.Response | None = None) -> float:
    """Seconds before the next try: as Retry-After says, else longer each time. ``attempt``: from 0."""
    said = response.headers.get("Retry-After", "") if response is not None else ""
    try:
        asked = max(0.0, float(said))
    except ValueError:
        asked = 2.0**attempt / 2
    return min(asked, LONGEST_WAIT_S)
