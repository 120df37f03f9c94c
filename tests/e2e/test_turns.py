"""What can be done with a turn, by mouse and by keys, and who answers: in a real Chromium, over a scripted gateway.

pytest tests/e2e/test_turns.py -m browser        (DOCDUET_SHOTS=FOLDER keeps the screenshots)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.sentences import claims
from tests.e2e.chromium import MARKS, shoot
from tests.e2e.test_chat import Open, ask, open_page  # noqa: F401  (a fixture)
from tests.fake_gateway import FakeGateway, Script, in_thread, source
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

LEARNED = "It listens on port 7860. It restarts every night.\n\n```toml\nport = 7860\n```\n"
BACKED = {"url": "ports.md", "title": "Ports", "page_id": "ab", "score": 0.9}
UNBACKED = {"url": None, "title": None, "page_id": None, "score": 0.0}
SUPPORT = [
    {"start": span.start, "end": span.end, **(UNBACKED if n == 1 else BACKED)} for n, span in enumerate(claims(LEARNED))
]
SCRIPTS = {
    "one": Script("First answer.", (source(1),)),
    "two": Script("Second answer."),
    "learned": Script(
        LEARNED,
        arm="sft",
        reason="it asks for a fact",
        scores={"rag": 0.4, "sft": 0.6},
        thinking="Ports, then.",
        checks={"support": SUPPORT, "stale": [{"url": "ports.md", "title": "Ports"}]},
    ),
    "doubted": Script("It flies [1]. Yes.", (source(1),), checks={"unsupported": [{"start": 0, "end": 13, "n": 1}]}),
    "long": Script("word " * 2000, pause=0.02),
}


@pytest.fixture(scope="module")
def fake() -> FakeGateway:
    return FakeGateway(SCRIPTS, voices=("auto", "rag", "base", "sft", "compare"), demo=True)


@pytest.fixture(scope="module")
def url(fake: FakeGateway) -> Iterator[str]:
    with in_thread(lambda url: mount(fake.app(), url, UiConfig())) as url:
        yield url


def questions(page: Any) -> list[str]:
    said: list[str] = page.locator(".dd-question").all_inner_texts()
    return said


def sent(fake: FakeGateway) -> list[str]:
    return [message["content"] for message in fake.asked[-1]["messages"]]


def asked_anew(page: Any, at: int) -> Any:
    """The turn that takes the place of number ``at``, once it is answered."""
    page.wait_for_function("at => document.querySelectorAll('article').length === at + 1", arg=at)
    article = page.locator("article").nth(at)
    article.locator(".dd-answer[aria-busy=false] .dd-prose").wait_for()
    return article


def test_ask_again_and_edit_replace_a_turn_and_what_follows(
    open_page: Open,  # noqa: F811
    fake: FakeGateway,
    tmp_path: Path,
) -> None:
    page = open_page()
    for question in ("one", "two", "one"):
        ask(page, question)
    page.fill("#dd-box textarea", "a draft")
    article = page.locator("article >> nth=2")
    article.locator("[data-again-with]").click()
    shoot(page, "menu", tmp_path)
    assert page.locator(".dd-menu button").all_inner_texts()[:2] == ["Auto", "Reads the docs"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("article:nth-child(3) .dd-voice:text-is('Learned the docs')").wait_for()
    assert (fake.asked[-1]["model"], sent(fake)) == (
        "sft",
        ["one", "First answer.", "two", "Second answer.", "one"],
    )
    assert page.locator(".dd-menu").count() == 0

    again = page.locator("article >> nth=1").locator("[data-again]")
    again.click()
    assert again.inner_text() == "Replaces 1 later: click again"
    assert page.locator("article").count() == 3
    again.click()
    asked_anew(page, 1)
    assert questions(page) == ["one", "two"]

    page.locator("article >> nth=0").locator("[data-edit]").click()
    assert "Also replaces what follows (1)" in page.locator(".dd-edit").inner_text()
    shoot(page, "edit", tmp_path)
    page.keyboard.press("Escape")
    assert page.locator(".dd-edit").count() == 0
    page.locator("article >> nth=0").locator("[data-edit]").click()
    page.locator(".dd-edit textarea").fill("two")
    page.keyboard.press("Enter")
    assert "Second answer." in asked_anew(page, 0).inner_text()
    assert sent(fake) == ["two"]
    assert page.input_value("#dd-box textarea") == "a draft"


def test_keys_work_outside_of_text_boxes(open_page: Open, fake: FakeGateway, tmp_path: Path) -> None:  # noqa: F811
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "one")
    page.keyboard.type("/?ncre")
    assert page.input_value("#dd-box textarea") == "/?ncre"
    page.fill("#dd-box textarea", "")

    def leave() -> None:
        page.evaluate("document.activeElement.blur()")

    leave()
    page.keyboard.press("c")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "First answer."
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    assert page.input_value("#dd-box textarea") == ""
    leave()
    page.keyboard.press("?")
    assert page.locator("#dd-help").is_visible()
    shoot(page, "keys", tmp_path)
    page.keyboard.press("n")
    assert page.locator("article").count() == 1, "the window is open"
    page.keyboard.press("Escape")
    assert not page.locator("#dd-help").is_visible()
    page.keyboard.press("e")
    page.locator(".dd-edit textarea").fill("long")
    page.keyboard.press("Enter")
    page.locator("[aria-busy=true] .dd-prose").wait_for()
    hung_up = fake.hung_up
    page.keyboard.press("Escape")
    page.wait_for_selector("text=Stopped.")
    page.wait_for_timeout(300)
    assert fake.hung_up == hung_up + 1
    leave()
    page.click("[data-help]")
    page.uncheck("[data-keys]")
    page.click("[data-close]")
    page.reload()
    page.wait_for_selector(".dd-welcome")
    leave()
    page.keyboard.press("?")
    assert not page.locator("#dd-help").is_visible(), "they stay off"


def test_what_the_docs_say_to_an_answer(open_page: Open, tmp_path: Path) -> None:  # noqa: F811
    page = open_page()
    assert "small demonstration model" in page.inner_text("#dd-banner")
    article = ask(page, "learned")
    assert article.locator(".dd-flag-backed").count() == 2
    assert article.locator(".dd-flag-unbacked").get_attribute("aria-label") == "No page of the docs backs this"
    assert "2 of 3 sentences are backed by the docs" in article.inner_text()
    assert "Changed since the model learned it: Ports" in article.inner_text()
    assert not article.locator(".dd-thinking > div").is_visible()
    assert not article.locator(".dd-details dl").is_visible()
    article.locator(".dd-details summary").click()
    details = article.locator(".dd-details").inner_text()
    assert all(said in details for said in ("it asks for a fact", "0.60", "1,234 read", "total 0.9 s", "sft"))
    shoot(page, "learned", tmp_path)
    assert article.locator("pre").text_content() == "port = 7860\n"
    with page.expect_popup() as popup:
        article.locator(".dd-flag-backed").first.click()
    assert "Stored page ab" in popup.value.inner_text("h1")
    article = ask(page, "doubted")
    assert article.locator(".dd-flag-unbacked").get_attribute("aria-label") == "[1] does not say this"


def test_who_answers_is_chosen_with_keys_and_kept(open_page: Open, fake: FakeGateway, tmp_path: Path) -> None:  # noqa: F811
    page = open_page(lang="zh-CN")
    names = ["自动", "查阅文档", "学过文档", "两者并排", "盲测", "基础模型"]
    assert page.locator("#dd-voice label").all_inner_texts() == names
    page.focus("#dd-voice input >> nth=0")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    ask(page, "one")
    assert (fake.asked[-1]["model"], fake.asked[-1]["docduet"]) == ("compare", {"blind": True})
    page.set_viewport_size({"width": 390, "height": 844})
    assert not page.locator("#dd-voice label").first.is_visible()
    assert page.input_value("#dd-voice select") == "blind"
    page.select_option("#dd-voice select", "sft")
    ask(page, "two")
    assert fake.asked[-1]["model"] == "sft"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "phone-voice", tmp_path)
    page.reload()
    page.wait_for_selector(".dd-welcome")
    assert page.input_value("#dd-voice select") == "sft"
