"""Binding, announcing, stopping."""

import socket

import httpx
import pytest
from fastapi import FastAPI

from data.errors import DocDuetError, PortInUseError
from serving.server import answers, in_background, listen, url_of


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUseError, match="--port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(DocDuetError, match=r"cannot listen on 192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_url_of_is_what_a_browser_on_this_machine_opens() -> None:
    with listen("0.0.0.0", 0) as sock:
        assert url_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"


def test_in_background_serves_and_stops() -> None:
    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    with in_background(app) as url:
        assert answers(url)
    assert not answers(url)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
