"""How a server that listens is reached from this machine."""

from __future__ import annotations

import pytest
from httpx import URL

from data.address import local_url


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::1", "::1"),
        ("docs.example.com",) * 2,
    ],
)
def test_local_url(host: str, reached: str) -> None:
    url = URL(local_url(host, 7860))
    assert (url.scheme, url.host, url.port) == ("http", reached, 7860)
