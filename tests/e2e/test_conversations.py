"""Conversations beside the chat, in a real Chromium on the real gateway, which asks for keys.

pytest tests/e2e/test_conversations.py -m browser    # DOCDUET_SHOTS=FOLDER keeps the screenshots
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from data.home import Home
from data.prompts import Message
from serving.engines.delta import EngineDelta
from serving.store import conversations
from serving.store.database import Store
from tests.access_gateway import gateway_app, indexed, new_key
from tests.e2e.chromium import MARKS, shoot
from tests.e2e.test_chat import ask
from tests.fake_gateway import in_thread
from tests.fakes import ScriptedEngine
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

PORT = "Which port does the gateway listen on by default?"
AGAIN = "And how is the port of the gateway changed?"
DAY = 86_400


class Slow(ScriptedEngine):
    """Takes two seconds where it is asked to be slow."""

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        if "slowly" in messages[-1]["content"]:
            await asyncio.sleep(2)
        async for delta in super().chat(messages, **params):
            yield delta


class Place:
    """A gateway with the chat app that can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.home: Home = indexed(folder / "home")
        self.database = f"sqlite:///{folder / 'docduet.sqlite'}"
        self.store = Store.open(self.database)
        self.keys = {name: new_key(self.store, name) for name in ("anna", "ben", "zhang", "phone")}
        self.url = ""
        self._running = ExitStack()

    def start(self) -> None:
        engine = Slow("It listens on port 7860 [1].")
        app = gateway_app(self.home, self.store, engine, {"require_keys": "always"})
        port = int(self.url.rpartition(":")[2] or 0)
        self.url = self._running.enter_context(in_thread(lambda url: mount(app, url, UiConfig()), port))

    def stop(self) -> None:
        self._running.close()
        self._running = ExitStack()

    def titled(self, owner: str, title: str, age: float) -> str:
        """A stored conversation whose last question came ``age`` seconds ago."""
        id = f"conv_{owner}{abs(hash((title, age))):x}"
        with self.store.writing() as db:
            db.add(conversations.new(id, owner, title, time.time() - age))
        return id


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    place.start()
    yield place
    place.stop()
    place.store.close()


def sign_in(browser: Any, place: Place, name: str, **context: Any) -> Any:
    """A page of ``name``, in a browser context of its own."""
    opened = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US"} | context)
    page = opened.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(place.url)
    page.fill("#key", place.keys[name])
    page.click("button")
    page.wait_for_selector(".dd-side-entries section, .dd-side-note", state="attached")
    return page


def titles(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".dd-conversation a").all_inner_texts()]


def act(page: Any, title: str, name: str) -> Any:
    """The menu of a conversation, opened, and what is in it."""
    entry = page.locator(".dd-conversation", has_text=title)
    entry.hover()
    entry.locator(".dd-dots").click()
    return page.locator(f"#dd-side-menu [data-act={name}]")


def test_the_whole_way_of_a_conversation(browser: Any, place: Place, tmp_path: Path) -> None:
    for title, age in (("A question of yesterday", DAY), ("Last week", 4 * DAY), ("Long ago", 90 * DAY)):
        place.titled("anna", title, age)
    page = sign_in(browser, place, "anna")
    assert page.locator(".dd-side-entries h2").all_inner_texts() == ["Yesterday", "Previous 7 days", "Older"]
    ask(page, PORT)
    page.wait_for_selector(f".dd-conversation a[aria-current]:has-text('{PORT}')")
    first = page.url
    assert re.search(r"/#chat/conv_\w+$", first)
    ask(page, AGAIN)
    assert page.url == first
    shoot(page, "conversations", tmp_path)

    page.reload()  # whole after a reload
    page.locator("article >> nth=1").wait_for()
    assert page.locator(".dd-question").all_inner_texts() == [PORT, AGAIN]
    assert page.locator("article .dd-card").count() == 2
    page.locator("article >> nth=0").locator(".dd-cite").click()
    assert "dd-hit" in page.locator("article >> nth=0").locator(".dd-card").get_attribute("class")

    page.click("#dd-new")  # a new one, then back and forward
    page.wait_for_selector(".dd-welcome")
    assert page.url == f"{place.url}/#chat"
    article = ask(page, "What about zebras?")
    second = page.url
    assert second != first
    assert article.locator(".dd-answer").count() == 1
    page.go_back()
    page.locator(".dd-question", has_text=AGAIN).wait_for()
    assert page.url == first
    page.go_forward()
    page.locator(".dd-question", has_text="zebras").wait_for()
    assert page.locator("article").count() == 1
    page.locator(".dd-conversation a", has_text="Long ago").click()
    page.wait_for_selector(".dd-welcome")

    page.fill(".dd-side-search", "LISTENS on port")  # search, also in answers
    page.wait_for_function("document.querySelectorAll('.dd-conversation').length == 1")
    assert titles(page) == [PORT]
    page.fill(".dd-side-search", "nobody said this")
    page.wait_for_selector(".dd-side-note")
    shoot(page, "conversations-nothing-found", tmp_path)
    page.fill(".dd-side-search", "")
    page.wait_for_selector("text=Long ago")

    act(page, PORT, "rename").click()  # rename in place, by keyboard
    page.keyboard.type("The port")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.className == 'dd-dots'")
    page.locator(".dd-conversation a", has_text="The port").click()
    page.locator(".dd-question", has_text=AGAIN).wait_for()
    assert page.url == first

    item = act(page, "The port", "export")
    shoot(page, "conversations-menu", tmp_path)
    with page.expect_download() as download:  # a file, with sign-in by cookie
        item.click()
    assert download.value.suggested_filename == "The port.md"
    exported = Path(download.value.path()).read_text(encoding="utf-8")
    assert f"## Question 1\n\n{PORT}" in exported
    assert "[^1-1]: [Ports" in exported

    act(page, "The port", "delete").click()
    shoot(page, "conversations-delete", tmp_path)
    page.keyboard.press("Escape")
    assert "The port" in titles(page)
    act(page, "The port", "delete").click()
    page.click(".dd-sure-yes")
    page.wait_for_selector(".dd-welcome")
    page.wait_for_function("!document.querySelector('.dd-side-entries').textContent.includes('The port')")
    assert page.url == f"{place.url}/#chat"
    page.goto(first)
    page.reload()
    page.wait_for_selector(".dd-missing")
    assert "This conversation is not there" in page.inner_text(".dd-missing")
    shoot(page, "conversations-missing", tmp_path)
    ask(page, PORT)
    assert page.url != first
    assert page.errors == []


def test_nobody_sees_anothers_and_tabs_do_not_meet(browser: Any, place: Place) -> None:
    ben, zhang = (sign_in(browser, place, name) for name in ("ben", "zhang"))
    ask(ben, "Which port is Ben's?")
    ask(zhang, "Which port is Zhang's?")
    zhang.wait_for_selector(".dd-conversation")
    assert titles(zhang) == ["Which port is Zhang's?"]
    zhang.goto(ben.url)
    zhang.wait_for_selector(".dd-missing")
    assert "Ben" not in zhang.inner_text("body")
    other = ben.context.new_page()  # a second tab of the same person
    other.goto(place.url)
    other.wait_for_selector(".dd-welcome")
    ask(other, "Which port in the other tab?")
    assert other.url != ben.url
    ask(ben, "And in the first tab?")
    ben.reload()
    ben.locator("article >> nth=1").wait_for()
    assert ben.locator(".dd-question").all_inner_texts() == ["Which port is Ben's?", "And in the first tab?"]
    assert ben.errors == zhang.errors == []


def test_a_restart_and_a_reload_in_the_middle_lose_nothing(browser: Any, place: Place) -> None:
    page = sign_in(browser, place, "ben")
    ask(page, PORT)
    address = page.url
    place.stop()
    place.start()
    page.reload()
    page.locator("article .dd-card").wait_for()
    assert page.url == address
    assert "It listens on port 7860" in page.inner_text(".dd-prose")
    ask(page, AGAIN)
    page.fill("#dd-box textarea", "And slowly, which port is it?")
    page.keyboard.press("Enter")
    page.locator("article >> nth=2").locator(".dd-wait").wait_for()
    page.wait_for_timeout(500)  # until the question has reached the gateway
    page.reload()
    third = page.locator("article >> nth=2")
    third.wait_for()
    third.locator(".dd-prose", has_text="It listens on port 7860").wait_for()
    assert page.locator(".dd-question").all_inner_texts() == [PORT, AGAIN, "And slowly, which port is it?"]
    assert page.errors == []


def test_in_chinese_dark_and_with_more_than_a_page(browser: Any, place: Place, tmp_path: Path) -> None:
    for number in range(45):
        place.titled("zhang", f"第 {number} 个问题：网关默认监听哪个端口？", number * 6 * 3600)
    page = sign_in(browser, place, "zhang", locale="zh-CN", color_scheme="dark")
    assert page.locator(".dd-side-entries h2").first.inner_text() == "今天"
    ask(page, "网关默认监听哪个端口？")
    shoot(page, "conversations-zh-dark", tmp_path)
    page.locator(".dd-conversation").last.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelectorAll('.dd-conversation').length > 45")
    assert page.locator(".dd-side-entries h2").all_inner_texts() == ["今天", "昨天", "过去 7 天", "更早"]
    page.click("#dd-language")
    page.wait_for_selector("h2:has-text('Today')")
    assert page.locator("article").count() == 1
    page.click(".dd-side-toggle")
    assert not page.locator("#dd-side-list").is_visible()
    shoot(page, "conversations-closed", tmp_path)
    page.reload()
    page.locator("article").wait_for()
    assert not page.locator("#dd-side-list").is_visible()
    assert page.errors == []


def test_a_drawer_on_a_phone(browser: Any, place: Place, tmp_path: Path) -> None:
    page = sign_in(browser, place, "phone", viewport={"width": 390, "height": 844}, has_touch=True)
    assert not page.locator("#dd-side-list").is_visible()
    ask(page, PORT)
    shoot(page, "conversations-phone", tmp_path)
    page.click("#dd-new")
    page.wait_for_selector(".dd-welcome")
    page.click(".dd-side-toggle")
    assert page.locator(".dd-side-search").is_visible()
    assert page.get_attribute(".dd-side-toggle", "aria-expanded") == "true"
    shoot(page, "conversations-phone-drawer", tmp_path)
    page.keyboard.press("Escape")
    assert not page.locator("#dd-side-list").is_visible()
    page.click(".dd-side-toggle")
    page.locator(".dd-conversation a").first.click()
    page.locator("article").wait_for()
    assert not page.locator("#dd-side-list").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.errors == []
