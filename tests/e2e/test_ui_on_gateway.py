"""The chat app on the real gateway: real pages, a real index, an engine that answers from a script; real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from tests.e2e.chromium import CHROMIUM, FLAGS, MARKS
from tests.e2e.test_chat import ask
from tests.fake_gateway import in_thread
from tests.fakes import ScriptedEngine, ScriptedSupervisor
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

FILLER = "\n\n".join(f"Paragraph {n} is about something else." for n in range(60))
PAGES = [
    Page(
        "port.md",
        "Ports",
        f"{FILLER}\n\n## Changing it\n\nThe gateway listens on port 7860; change it with `--port`.\n",
    ),
    Page("formats.md", "Formats", "DocDuet reads Markdown, HTML, PDF and DOCX files.\n"),
    Page("zh/port.md", "端口", "网关默认监听 7860 端口。\n\n用 `--port` 修改端口。\n", lang="zh"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = Home(tmp_path_factory.mktemp("ui"))
    build_index(PAGES, home, RagConfig())
    engine = ScriptedEngine("It listens on port 7860 [1]. Nothing more [9].")
    config = ServingConfig(engines=(EngineConfig(name=engine.name, base_url="http://scripted"),))
    supervisor: Any = ScriptedSupervisor(engine)
    gateway = create_app(config, supervisor, LiveIndex(home, RagConfig()))
    with in_thread(lambda url: mount(gateway, url, UiConfig())) as url:
        yield url


def test_a_citation_leads_to_the_quote_on_its_page(url: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector(".dd-welcome")
        article = ask(page, "Which port does the gateway listen on?")
        assert "It listens on port 7860" in article.locator(".dd-prose").inner_text()
        assert "[9]" not in article.inner_text()
        assert article.locator(".dd-card").count() == 1
        assert "port" in [text.lower() for text in article.locator(".dd-card mark").all_inner_texts()]
        with page.expect_popup() as popup:
            article.locator(".dd-open").click()
        marked = popup.value.locator("#quote")
        marked.wait_for()
        assert popup.value.evaluate("scrollY") > 0
        assert marked.evaluate("e => e.getBoundingClientRect().top < innerHeight")
        browser.close()
