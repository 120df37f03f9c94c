"""Thumbs, reasons and corrections in a real Chromium, on the real gateway. DOCDUET_SHOTS=FOLDER keeps screenshots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.corrections import load, use_of
from data.home import Home
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from tests.e2e.chromium import MARKS, shoot
from tests.e2e.test_chat import ask
from tests.fake_gateway import in_thread
from tests.fakes import HashedWords, ScriptedEngine, ScriptedSupervisor
from tests.store_gateway import QUESTION, home_of
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS
SAID = "Port 7860.\n\nChange it with `--port`."
FOCUSED = "document.activeElement.getAttribute('name') || document.activeElement.className"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_of(tmp_path_factory.mktemp("feedback"))


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    engine = ScriptedEngine("It is port 7860 [1].")
    config = ServingConfig(engines=(EngineConfig(name=engine.name, base_url="http://scripted"),))
    supervisor: Any = ScriptedSupervisor(engine)
    gateway = create_app(config, supervisor, LiveIndex(home, RagConfig(), HashedWords()))
    with in_thread(lambda url: mount(gateway, url, UiConfig())) as url:
        yield url


def opened(
    browser: Any, url: str, width: int = 1280, height: int = 800, lang: str = "en-US", dark: bool = False
) -> Any:
    """A page with one answered question; whatever goes wrong in it fails the test."""
    context = browser.new_context(
        locale=lang, color_scheme="dark" if dark else "light", viewport={"width": width, "height": height}
    )
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(url)
    page.wait_for_selector(".dd-welcome")
    return page


def thumb(article: Any, which: str) -> Any:
    return article.locator(f"[data-opinion={which}]")


def pressed(article: Any, which: str) -> None:
    article.locator(f"[data-opinion={which}][aria-pressed=true]").wait_for()


def test_a_correction_by_keyboard_is_promoted_edited_and_taken_back(
    browser: Any, url: str, home: Home, tmp_path: Path
) -> None:
    page = opened(browser, url)
    article = ask(page, QUESTION)
    thumb(article, "up").focus()
    page.keyboard.press("Enter")
    pressed(article, "up")
    assert page.evaluate("document.activeElement.dataset.opinion") == "up"
    shoot(page, "feedback-up", tmp_path)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    article.locator("form").wait_for()
    assert page.evaluate(FOCUSED) == "reason"
    page.keyboard.press("Space")
    assert article.locator("[name=reason]:checked").get_attribute("value") == "wrong"
    article.get_by_label("Comment").fill("no flag")
    article.get_by_label("What should it have said?").fill(SAID)
    shoot(page, "feedback-form", tmp_path)
    page.keyboard.press("Control+Enter")
    article.locator(".dd-corrected").wait_for()
    assert page.evaluate(FOCUSED) == "dd-opinion"
    assert "Port 7860." in article.locator(".dd-corrected").inner_text()
    (kept,) = load(home.feedback)
    assert (kept.correction, kept.comment, kept.review, kept.pages) == (SAID, "no flag", "kept", ("port.md",))
    article.locator("[data-opinion=promote]").click()
    told = {"sft": "Used for training.", "eval": "Used as an evaluation question"}[use_of(kept)]
    article.get_by_text(told).wait_for()
    shoot(page, "feedback-promoted", tmp_path)
    assert [entry.review for entry in load(home.feedback)] == ["promoted"]
    article.locator("[data-opinion=edit]").click()
    assert article.get_by_label("What should it have said?").input_value() == SAID
    assert article.locator("[name=reason]:checked").count() == 1
    article.locator("[name=page]").uncheck()
    article.get_by_role("button", name="Send").click()
    article.locator(".dd-corrected").wait_for()
    assert [entry.pages for entry in load(home.feedback)] == [()]
    page.click("#dd-language")
    article.get_by_text("正确的回答").wait_for()
    article.locator("[data-opinion=edit]").click()
    article.locator("[data-opinion=take_back]").click()
    article.locator("form").wait_for(state="detached")
    assert load(home.feedback) == []
    assert article.locator("[aria-pressed=true]").count() == 0
    assert page.errors == []
    page.context.close()


def test_what_cannot_be_saved_stays_in_the_form(browser: Any, url: str, home: Home, tmp_path: Path) -> None:
    page = opened(browser, url, 390, 844, "zh-CN", dark=True)
    article = ask(page, "网关默认监听哪个端口？")
    thumb(article, "down").click()
    article.locator("form").wait_for()
    article.get_by_label("正确的回答应该是什么？").fill("默认是 7860 端口。")
    shoot(page, "feedback-phone-zh", tmp_path)
    home.feedback.unlink(missing_ok=True)
    home.feedback.mkdir()
    article.get_by_role("button", name="提交").click()
    article.get_by_text("暂时无法写入").wait_for()
    page.wait_for_timeout(300)  # the page scrolls to the error
    shoot(page, "feedback-failed-phone-zh", tmp_path)
    assert article.get_by_label("正确的回答应该是什么？").input_value() == "默认是 7860 端口。"
    home.feedback.rmdir()
    article.get_by_role("button", name="提交").click()
    article.locator(".dd-corrected").wait_for()
    assert [entry.correction for entry in load(home.feedback)] == ["默认是 7860 端口。"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "feedback-corrected-phone-zh", tmp_path)
    assert page.errors == []
    page.context.close()


def test_a_thumb_given_while_the_next_answer_streams_stays(browser: Any, url: str) -> None:
    page = opened(browser, url)
    first = ask(page, QUESTION)
    page.fill("#dd-box textarea", QUESTION)
    page.keyboard.press("Enter")
    thumb(first, "up").click()
    pressed(first, "up")
    second = page.locator("article").nth(1)
    second.locator(".dd-answer[aria-busy=false] >> nth=0").wait_for()
    pressed(first, "up")
    assert thumb(second, "up").get_attribute("aria-pressed") == "false"
    third = ask(page, QUESTION)
    pressed(first, "up")
    thumb(first, "up").click()
    first.locator("[data-opinion=up][aria-pressed=false]").wait_for()
    assert third.locator(".dd-thumbs").count() == 1
    assert page.errors == []
    page.context.close()
