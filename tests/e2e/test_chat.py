"""The chat app in a real Chromium, over a scripted gateway. DOCDUET_SHOTS=FOLDER keeps the screenshots.

pytest tests/e2e/test_chat.py -m browser
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chromium import MARKS, shoot
from tests.fake_gateway import FakeGateway, Script, in_thread, source
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS


QUOTE = "Set `port` in docduet.toml.\n\n```toml\n[serving]\nport = 8080\n```\n\n" + "The port must be free. " * 12
PORTS = source(1, title="Ports", quote=QUOTE, marks=[[m.start(), m.end()] for m in re.finditer("port", QUOTE)])
SECOND = source(2, title="Environment", quote="DOCDUET__SERVING__PORT wins.")
ANSWER = (
    "Set the port in `docduet.toml` [1].\n\n```bash\ndocduet serve --port 8080\n```\n\n|a|b|\n|-|-|\n|1|2|\n\nOr [2]."
)
SCRIPTS = {
    "How do I change the port?": Script(ANSWER, (PORTS, SECOND), pause=0.02),
    "and on Windows?": Script("The same way [1].", (PORTS,), query="How do I change the port on Windows?"),
    "怎么修改端口？": Script(
        "在配置文件里设置端口 [1]。", (source(1, title="端口", quote="端口默认是 7860。", lang="zh"),)
    ),
    "both": Script(
        ANSWER, (PORTS, SECOND), arm="rag", pause=0.01, other=Script("By default 7860 [1].", (PORTS,), arm="sft-rag")
    ),
    "weather": Script("I could not find this in the documentation.", refused=True),
    "broken": Script("Half of the", fails_midway="the engine was silent for 30 s"),
    "no index": Script(error=(503, "nothing is indexed yet: run `docduet sync FOLDER`", "no_index")),
    "long": Script("word " * 2000, pause=0.02),
}


# Every length that the answer has on the page while it streams.
WATCH_LENGTHS = """() => {
  window.lengths = [];
  new MutationObserver(() => {
    const prose = document.querySelector(".dd-prose");
    if (prose) window.lengths.push(prose.textContent.length);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def fake() -> FakeGateway:
    return FakeGateway(SCRIPTS)


@pytest.fixture(scope="module")
def url(fake: FakeGateway) -> Iterator[str]:
    with in_thread(lambda url: mount(fake.app(), url, UiConfig(), handbook=True)) as url:
        yield url


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, url: str, tmp_path: Path) -> Iterator[Open]:
    """Opens the app; afterwards no page may have asked another origin for anything, nor have met an error."""
    contexts, requests, errors = [], [], []

    def opened(lang: str = "en-US", dark: bool = False, width: int = 1360, height: int = 860) -> Any:
        context = browser.new_context(
            locale=lang, color_scheme="dark" if dark else "light", viewport={"width": width, "height": height}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_selector(".dd-welcome")
        return page

    yield opened
    for context in contexts:
        context.close()
    foreign = [address for address in requests if not address.startswith((url, "data:", "blob:"))]
    assert foreign == []
    assert errors == []


def ask(page: Any, question: str) -> Any:
    """Ask with the keyboard and wait for the whole answer; its article."""
    before = page.locator("article").count()
    page.fill("#dd-box textarea", question)
    page.keyboard.press("Enter")
    article = page.locator("article").nth(before)
    article.locator(".dd-answer[aria-busy=false] >> nth=0").wait_for()
    return article


def test_ask_read_and_follow_a_citation(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    shoot(page, "welcome", tmp_path)
    page.evaluate(WATCH_LENGTHS)
    page.fill("#dd-box textarea", "How do I change the port?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".dd-answer[aria-busy=false]")
    lengths = page.evaluate("window.lengths")
    assert len(set(lengths)) > 2
    assert lengths == sorted(lengths)
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    assert "Setup › Network" in page.inner_text(".dd-card >> nth=0")
    assert page.locator(".dd-card mark").count() > 1
    page.click(".dd-cite[data-source='2']")
    assert "dd-hit" in page.get_attribute(".dd-card >> nth=1", "class")
    assert "dd-hit" not in page.get_attribute(".dd-card >> nth=0", "class")
    shoot(page, "answer", tmp_path)
    with page.expect_popup() as popup:
        page.click(".dd-open >> nth=0")
    assert "Stored page page1" in popup.value.inner_text("h1")


def test_the_sources_stand_beside_the_answer_and_unfold(open_page: Open) -> None:
    page = open_page()
    article = ask(page, "How do I change the port?")
    answer, sources = article.locator(".dd-answer").bounding_box(), article.locator(".dd-sources").bounding_box()
    assert sources["x"] > answer["x"] + answer["width"]
    quote = article.locator(".dd-quote").first
    folded = quote.bounding_box()["height"]
    article.locator(".dd-more").click()
    assert quote.bounding_box()["height"] > folded
    assert article.locator(".dd-more").inner_text() == "Show less"


def test_copy_takes_the_answer_or_its_sources_too_or_just_the_code(open_page: Open, url: str) -> None:
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    article = ask(page, "How do I change the port?")
    article.locator("[data-copy=code]").click()
    assert page.evaluate("navigator.clipboard.readText()") == "docduet serve --port 8080\n"
    article.locator("[data-copy=answer]").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("Set the port in `docduet.toml`.\n")
    assert "Copied" in article.locator("[data-copy=answer]").inner_text()
    article.locator("[data-copy=sources]").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Set the port in `docduet.toml` [1].\n")
    assert f"\n\n- [1] [Ports › Setup › Network]({url}/pages/page1?quote=x)\n- [2] " in copied


def test_a_follow_up_shows_what_was_searched_and_starts_at_the_top(
    open_page: Open, fake: FakeGateway, tmp_path: Path
) -> None:
    page = open_page()
    ask(page, "How do I change the port?")
    article = ask(page, "and on Windows?")
    assert "How do I change the port on Windows?" in article.inner_text()
    top = page.locator("#dd-chat").bounding_box()["y"]
    assert abs(article.bounding_box()["y"] - top) < 60
    assert [m["role"] for m in fake.asked[-1]["messages"]] == ["user", "assistant", "user"]
    shoot(page, "follow-up", tmp_path)


def test_shift_enter_is_a_new_line(open_page: Open, fake: FakeGateway) -> None:
    page = open_page()
    page.fill("#dd-box textarea", "one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert page.input_value("#dd-box textarea") == "one\ntwo"
    assert page.locator("article").count() == 0


def test_enter_that_confirms_an_input_method_does_not_send(open_page: Open) -> None:
    page = open_page(lang="zh-CN")
    page.fill("#dd-box textarea", "duankou")
    options = "{key: 'Enter', keyCode: 13, bubbles: true, cancelable: true, isComposing: composing}"
    press = f"document.activeElement.dispatchEvent(new KeyboardEvent(type, {options}))"
    send = f"(composing) => {{ for (const type of ['keydown', 'keypress']) {press} }}"
    page.evaluate(send, True)
    page.wait_for_timeout(300)
    assert page.locator("article").count() == 0
    page.evaluate(send, False)
    page.locator("article").wait_for()


def test_an_example_is_one_click(open_page: Open) -> None:
    page = open_page()
    question = page.inner_text(".dd-example >> nth=0")
    page.click(".dd-example >> nth=0")
    page.wait_for_selector(".dd-answer[aria-busy=false]")
    assert page.inner_text(".dd-question") == question


def test_the_voice_is_what_is_asked(open_page: Open, fake: FakeGateway) -> None:
    page = open_page()
    assert page.locator("#dd-voice label").all_inner_texts() == ["Reads the docs", "Base model"]
    page.click("#dd-voice label >> nth=1")
    article = ask(page, "anything")
    assert fake.asked[-1]["model"] == "base"
    assert "has no sources" in article.inner_text()


def test_chinese_from_the_browser_and_the_switch(open_page: Open, tmp_path: Path) -> None:
    page = open_page(lang="zh-CN")
    assert page.inner_text(".dd-welcome h1") == "你想了解什么？"
    article = ask(page, "怎么修改端口？")
    assert "来源（1）" in article.inner_text()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    shoot(page, "chinese", tmp_path)
    page.click("#dd-language")
    page.wait_for_selector("text=Sources (1)")
    assert page.get_attribute("#dd-box textarea", "placeholder") == "Ask about the product…"
    page.reload()
    page.wait_for_selector("text=What would you like to know?")


def test_phone_width_folds_the_sources_under_the_answer(open_page: Open, tmp_path: Path) -> None:
    page = open_page(width=390, height=844, dark=True)
    shoot(page, "phone-welcome", tmp_path)
    article = ask(page, "How do I change the port?")
    assert not article.locator(".dd-card").first.is_visible()
    article.locator(".dd-cite").first.click()
    card = article.locator(".dd-card").first
    assert card.is_visible()
    below = """article => article.querySelector(".dd-card").getBoundingClientRect().top
        - article.querySelector(".dd-answer").getBoundingClientRect().bottom"""
    assert article.evaluate(below) >= 0  # both at once: the page is still scrolling
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "phone-dark", tmp_path)


def test_two_voices_stand_side_by_side_and_keep_their_sources_apart(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    article = ask(page, "both")
    article.locator(".dd-answer[aria-busy=false] >> nth=1").wait_for()
    shoot(page, "both", tmp_path)
    left, right = (article.locator(f".dd-side >> nth={n}") for n in (0, 1))
    assert "Reads the docs" in left.inner_text()
    assert "Learned and reads" in right.inner_text()
    tops = [side.bounding_box()["y"] for side in (left, right)]
    assert tops[0] == tops[1]
    right.locator(".dd-cite").click()
    assert "dd-hit" in right.locator(".dd-card").get_attribute("class")
    assert "dd-hit" not in left.locator(".dd-card >> nth=0").get_attribute("class")
    page.set_viewport_size({"width": 390, "height": 844})
    assert right.bounding_box()["x"] >= 390 - 24  # a swipe or a tab away
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "both-phone", tmp_path)


def test_a_refusal_has_no_sources(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    article = ask(page, "weather")
    assert article.locator(".dd-refused").count() == 1
    assert article.locator(".dd-card").count() == 0
    assert "Not in the docs" in article.inner_text()
    shoot(page, "refusal", tmp_path)


def test_quoting_mode_is_said_in_plain_words(open_page: Open, fake: FakeGateway, tmp_path: Path) -> None:
    fake.mode = "quoting"
    try:
        page = open_page()
        assert "answers are quotes" in page.inner_text("#dd-banner")
        shoot(page, "quoting", tmp_path)
    finally:
        fake.mode = "engine"
    assert open_page().locator(".dd-banner").count() == 0


def test_errors_are_part_of_the_conversation(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    article = ask(page, "broken")
    assert "Half of the" in article.inner_text()
    assert "silent for 30 s" in article.inner_text()
    article = ask(page, "no index")
    assert "docduet sync FOLDER" in article.inner_text()
    assert page.locator(".toast-body").count() == 0
    shoot(page, "error", tmp_path)
    failed = article.get_attribute("data-key")
    article.locator(".dd-retry").click()
    page.locator(f"article:nth-child(2):not([data-key={failed!r}]) .dd-error").wait_for()
    assert page.locator("article").count() == 2


def test_stop_ends_the_answer_and_hangs_up(open_page: Open, fake: FakeGateway) -> None:
    page = open_page()
    hung_up = fake.hung_up
    page.fill("#dd-box textarea", "long")
    page.keyboard.press("Enter")
    page.wait_for_selector(".dd-prose")
    page.click("#dd-box button")
    page.wait_for_selector("text=Stopped.")
    assert "word" in page.inner_text(".dd-prose")
    page.wait_for_timeout(300)
    assert fake.hung_up == hung_up + 1
    assert ask(page, "weather").count() == 1
    page.click("#dd-new")
    page.wait_for_selector(".dd-welcome")


def test_streaming_leaves_what_is_there_alone(open_page: Open) -> None:
    page = open_page()
    ask(page, "How do I change the port?")
    page.evaluate("window.before = document.querySelector('article .dd-prose pre')")
    page.fill("#dd-box textarea", "long")
    page.keyboard.press("Enter")
    page.wait_for_selector("article:nth-child(2) .dd-prose p")
    page.evaluate("window.paragraph = document.querySelector('article:nth-child(2) .dd-prose p')")
    page.wait_for_timeout(500)
    assert page.evaluate("window.before === document.querySelector('article .dd-prose pre')")
    assert page.evaluate("window.paragraph === document.querySelector('article:nth-child(2) .dd-prose p')")
    page.click("#dd-new")
    page.wait_for_selector(".dd-welcome")


def test_the_first_paint_is_light(open_page: Open) -> None:
    page = open_page()
    sent = page.evaluate("performance.getEntriesByType('resource').reduce((sum, r) => sum + r.transferSize, 0)")
    assert 0 < sent < 3_000_000
    assert page.locator("footer a, footer button").count() == 0
    assert page.get_attribute("#dd-theme", "aria-label") == "Light or dark"
