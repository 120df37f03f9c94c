"""Filters and the age of the docs in the chat app, on the real gateway, in a real Chromium.

pytest tests/e2e/test_filters.py -m browser        (DOCDUET_SHOTS=FOLDER keeps the screenshots)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import ServingConfig
from serving.refresh import Plan, Refresher, Result
from tests.e2e.chromium import MARKS, shoot
from tests.e2e.test_chat import ask
from tests.fake_gateway import in_thread
from tests.fakes import HashedWords, ScriptedSupervisor
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

QUESTION = "Which port does the gateway listen on by default?"
TREE = [
    ("Widget", "1.0", "en", 1010),
    ("Widget", "2.0", "en", 1020),
    ("Widget", "2.0", "zh", 1020),
    ("Gadget", "3.0", "en", 3030),
]


def page_of(product: str, version: str, lang: str, port: int) -> Page:
    body = f"The {product} {version} gateway listens on port {port} by default.\n"
    if lang == "zh":
        body = f"{product} {version} 网关默认监听 {port} 端口。\n"
    labels = {"product": product, "version": version}
    return Page(f"{product}/{version}/{lang}/port.md", "端口" if lang == "zh" else "Ports", body, lang, labels)


def index(home: Home, *tree: tuple[str, str, str, int]) -> None:
    build_index([page_of(*entry) for entry in tree], home, RagConfig(), embedder=HashedWords())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    index(home, *TREE)
    return home


@pytest.fixture
def open_page(browser: Any, home: Home) -> Iterator[Callable[..., Any]]:
    """Opens the app on a gateway over ``home``; pages of one test share a browser's storage."""
    supervisor: Any = ScriptedSupervisor()
    live = LiveIndex(home, RagConfig(), HashedWords())
    refresher = Refresher(Plan(3600.0, ("false",), home.refresh, home.logs / "refresh.log", {}), live)
    errors: list[str] = []
    context = browser.new_context(locale="en-US")
    app = create_app(ServingConfig(), supervisor, live, refresher)
    with in_thread(lambda url: mount(app, url, UiConfig())) as url:

        def opened(width: int = 1280, height: int = 800, dark: bool = False) -> Any:
            page = context.new_page()
            page.emulate_media(color_scheme="dark" if dark else "light")
            page.set_viewport_size({"width": width, "height": height})
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(url)
            page.wait_for_selector(".dd-welcome")
            return page

        yield opened
        context.close()
    assert errors == []


def options(page: Any, name: str) -> list[str]:
    texts: list[str] = page.locator(f"[data-filter={name}] option").all_inner_texts()
    return texts


def sources(article: Any) -> list[str]:
    texts: list[str] = article.locator(".dd-tag").all_inner_texts()
    return texts


def test_a_filter_changes_what_is_answered_from(open_page: Callable[..., Any], home: Home, tmp_path: Path) -> None:
    Result(time.time() - 725, 5.0, succeeded_at=time.time() - 720).save(home.refresh)
    page = open_page()
    page.wait_for_selector("[data-filter=version]")
    assert options(page, "product") == ["All products", "Gadget", "Widget"]
    assert options(page, "version") == ["All versions", "3.0", "2.0", "1.0"]
    assert options(page, "lang") == ["All languages", "English", "Chinese"]
    assert page.inner_text("#dd-status") == "Docs refreshed 12 min ago"
    shoot(page, "filters-welcome", tmp_path)
    unfiltered = ask(page, QUESTION)
    assert len(sources(unfiltered)) > 1
    assert unfiltered.locator(".dd-filtered").count() == 0

    page.select_option("[data-filter=product]", "Widget")
    assert options(page, "version") == ["All versions", "2.0", "1.0"]
    page.select_option("[data-filter=version]", "1.0")
    assert options(page, "lang") == ["All languages", "English"]
    widget = ask(page, QUESTION)
    assert sources(widget) == ["Widget 1.0"]
    assert "1010" in widget.inner_text()
    assert widget.locator(".dd-filtered").inner_text() == "Only from Widget · 1.0"
    shoot(page, "filters-desktop", tmp_path)

    page.select_option("[data-filter=product]", "Gadget")
    assert page.input_value("[data-filter=version]") == ""  # there is no Gadget 1.0
    assert sources(ask(page, QUESTION)) == ["Gadget 3.0"]
    assert "1010" in page.locator("article").nth(1).inner_text()  # earlier answers stay
    refused = ask(page, "What is the capital of France?")
    assert "Only Gadget was searched" in refused.inner_text()


def test_the_choice_stays_for_new_chats_other_languages_and_the_next_visit(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.wait_for_selector("[data-filter=product]")
    page.focus("[data-filter=product]")
    page.keyboard.press("End")  # the keyboard is enough: the last one is Widget
    assert page.evaluate("document.activeElement.dataset.filter") == "product"
    assert page.input_value("[data-filter=product]") == "Widget"
    page.click("#dd-new")
    page.click("#dd-language")
    page.wait_for_selector("option:text-is('全部版本')", state="attached")
    assert page.input_value("[data-filter=product]") == "Widget"
    assert options(page, "lang") == ["全部语言", "英语", "中文"]
    assert "只根据 Widget" in ask(page, "网关默认监听哪个端口？").inner_text()
    again = open_page()
    again.wait_for_selector(".dd-filter-on")
    assert again.input_value("[data-filter=product]") == "Widget"


def test_phone_width_and_dark(open_page: Callable[..., Any], home: Home, tmp_path: Path) -> None:
    error, now = "https://docs.example.com does not answer (HTTP 503)", time.time()
    Result(now - 9, 5.0, error=error, succeeded_at=now - 11_000).save(home.refresh)
    page = open_page(width=390, height=844, dark=True)
    page.wait_for_selector("[data-filter=version]")
    shoot(page, "filters-phone-welcome", tmp_path)
    page.select_option("[data-filter=product]", "Widget")
    page.select_option("[data-filter=version]", "2.0")
    ask(page, QUESTION)
    widths = [page.locator(f"[data-filter={name}]").bounding_box() for name in ("product", "version", "lang")]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] >= 32 for box in widths)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.inner_text("#dd-status summary") == "Docs refreshed 3 h ago · The last refresh failed"
    page.click("#dd-status summary")
    reason = page.locator("#dd-status div[dir=auto]")
    assert "HTTP 503" in reason.inner_text()
    box = reason.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    shoot(page, "filters-phone-dark", tmp_path)
    wide = open_page(dark=True)
    wide.wait_for_selector(".dd-filter-on")
    ask(wide, QUESTION)
    wide.click("#dd-status summary")
    shoot(wide, "filters-desktop-dark", tmp_path)


def test_one_value_is_no_choice(open_page: Callable[..., Any], home: Home) -> None:
    index(home, ("Widget", "1.0", "en", 1010), ("Widget", "2.0", "en", 1020))
    page = open_page()
    page.wait_for_selector("[data-filter=version]")
    assert page.locator("[data-filter]").count() == 1
    index(home, ("Widget", "1.0", "en", 1010))
    page.reload()
    page.wait_for_selector(".dd-welcome")
    page.wait_for_timeout(300)
    assert page.locator("[data-filter]").count() == 0
    assert page.locator("#dd-status").inner_text() == ""
