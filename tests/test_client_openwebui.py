"""Open WebUI from PyPI, unmodified, asking the gateway in a real Chromium. DOCDUET_SHOTS=FOLDER keeps the screenshot.

pytest tests/test_client_openwebui.py -m real        (the first time it installs Open WebUI: some 3 GB)
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.client_gateway import (
    ANSWER,
    QUESTION,
    client_python,
    engine_in_thread,
    handbook_gateway,
    index_handbook,
    says,
)
from tests.e2e.chromium import CHROMIUM, FLAGS
from tests.fake_engine import FakeEngineServer

VERSION = "0.12.4"
START_S = 180
SETTINGS = {
    "OFFLINE_MODE": "true",
    "WEBUI_AUTH": "False",
    "ENABLE_OLLAMA_API": "False",
    "OPENAI_API_KEY": "unused",
    "DEFAULT_MODELS": "rag",
    "ENABLE_TITLE_GENERATION": "False",
    "ENABLE_TAGS_GENERATION": "False",
    "ENABLE_FOLLOW_UP_GENERATION": "False",
}
"""What clients.md in the handbook says, and nothing but the handbook's address beside it."""

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which(CHROMIUM), reason="no /usr/bin/chromium: apt-get install chromium"),
]


@contextmanager
def open_webui(gateway: str, folder: Path) -> Iterator[str]:
    """Open WebUI with an empty data folder, connected to the gateway; gives its URL."""
    python = client_python("open-webui", f"open-webui=={VERSION}", "torch==2.13.0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {"DATA_DIR": str(folder), "OPENAI_API_BASE_URL": f"{gateway}/v1", **SETTINGS}
    command = [str(python.parent / "open-webui"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=own | env, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"Open WebUI did not start:\n{log.read_text(errors='replace')[-2000:]}")


def test_an_answer_with_its_sources(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    shots = Path(os.environ.get("DOCDUET_SHOTS", tmp_path))
    home = index_handbook(tmp_path / "home")
    with (
        engine_in_thread(FakeEngineServer(script=says(ANSWER))) as engine,
        handbook_gateway(home, engine) as gateway,
        open_webui(gateway, tmp_path) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(url)
        page.locator("#chat-input").wait_for(timeout=60_000)
        page.get_by_role("button", name="Okay, Let's Go!").click()  # what is new in this version
        page.locator("#chat-input").click()
        page.keyboard.type(QUESTION)
        page.keyboard.press("Enter")
        page.get_by_text("2 Sources").wait_for(timeout=60_000)
        page.screenshot(path=shots / "open-webui-answer.png")
        chips = [chip.inner_text() for chip in page.get_by_role("button").filter(has_text=re.compile(r"^\[\d\]")).all()]
        assert [chip[:3] for chip in chips] == ["[1]", "[2]"]
        page.get_by_role("button").filter(has_text="[1]").first.click()
        opened = page.get_by_role("dialog")
        opened.wait_for()
        page.screenshot(path=shots / "open-webui-source.png")
        assert "engine" in opened.inner_text().lower()
        links = [link.get_attribute("href") or "" for link in opened.get_by_role("link").all()]
        assert any(link.startswith(f"{gateway}/pages/") for link in links)
        assert [request.get("tools") for request in engine.requests] == [None]
        browser.close()
