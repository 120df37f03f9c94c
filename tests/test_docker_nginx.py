"""docker/nginx.conf in a real nginx before two real gateways.

Streams pass as they come, a browser stays with one gateway, and one that is down is not missed.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.watched import free_port
from serving.server import in_background
from tests.fakes import ScriptedEngine, ScriptedSupervisor

CONF = Path(__file__).parents[1] / "docker/nginx.conf"
QUESTION = {"model": "base", "stream": True, "messages": [{"role": "user", "content": "Which port?"}]}

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


class WaitingEngine(ScriptedEngine):
    """Says its first piece, and the rest once ``go`` is set."""

    def __init__(self) -> None:
        super().__init__("One two three", cut=4)
        self.go = threading.Event()

    async def chat(self, messages: Any, **params: Any) -> Any:
        async for delta in super().chat(messages, **params):
            yield delta
            await asyncio.to_thread(self.go.wait, 20)


@contextmanager
def gateway(home: Home, engine: ScriptedEngine, name: str) -> Iterator[str]:
    config = ServingConfig(engines=(EngineConfig(name="base", base_url="http://scripted"),))
    supervisor: Any = ScriptedSupervisor(engine)
    app = create_app(config, supervisor, LiveIndex(home, RagConfig()))
    app.get("/")(lambda: {"gateway": name})
    with in_background(app) as url:
        yield url


@contextmanager
def nginx(folder: Path, *gateways: str) -> Iterator[str]:
    """The proxy, with the addresses of this test and a folder of its own."""
    port, conf = free_port(), CONF.read_text()
    for number, url in enumerate(gateways, 1):
        conf = conf.replace(f"gateway-{number}:7860", url.removeprefix("http://"))
    conf = conf.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("/tmp/", f"{folder}/")
    path = folder / "nginx.conf"
    path.write_text(conf)
    process = subprocess.Popen(["nginx", "-c", str(path), "-g", "daemon off;"], stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            if process.poll() is not None:
                assert process.stderr
                raise AssertionError(process.stderr.read())
            try:
                httpx.get(f"{url}/healthz")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


@dataclass
class Proxied:
    url: str
    engine: WaitingEngine
    first: ExitStack
    """Closes the first gateway."""


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    home = Home(tmp_path / "home")
    build_index([Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860.\n")], home, RagConfig())
    engine = WaitingEngine()
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        one = first.enter_context(gateway(home, engine, "one"))
        two = stack.enter_context(gateway(home, engine, "two"))
        yield Proxied(stack.enter_context(nginx(tmp_path, one, two)), engine, first)


def test_a_stream_passes_as_it_comes(proxied: Proxied) -> None:
    with httpx.stream("POST", f"{proxied.url}/v1/chat/completions", json=QUESTION, timeout=20) as response:
        lines = response.iter_lines()
        assert any('"One ' in line for line in lines)  # here, and the engine has not said the rest
        proxied.engine.go.set()
        rest = list(lines)
    assert any("thre" in line for line in rest)
    assert [line for line in rest if line][-1] == "data: [DONE]"


def test_a_browser_stays_with_one_gateway_and_browsers_spread(proxied: Proxied) -> None:
    seen = []
    for _ in range(24):
        with httpx.Client(base_url=proxied.url) as browser:
            browser.get("/")  # brings the cookie
            answers = {browser.get("/").json()["gateway"] for _ in range(4)}
            assert len(answers) == 1
            seen += answers
    assert set(seen) == {"one", "two"}
    cookie = httpx.get(proxied.url).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_gateway_that_is_down_is_not_missed(proxied: Proxied) -> None:
    proxied.engine.go.set()
    proxied.first.close()
    with httpx.Client(base_url=proxied.url, timeout=20) as client:
        for _ in range(6):
            answer = client.post("/v1/chat/completions", json=QUESTION | {"stream": False})
            assert answer.json()["choices"][0]["message"]["content"] == "One two three"
            assert client.get("/").json() == {"gateway": "two"}


def test_metrics_stay_inside_and_large_bodies_outside(proxied: Proxied) -> None:
    assert httpx.get(f"{proxied.url}/metrics").status_code == 404
    assert httpx.post(f"{proxied.url}/v1/search", content=b"x" * 6_000_000).status_code == 413
