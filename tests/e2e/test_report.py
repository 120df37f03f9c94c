"""The report in the chat app: the real gateway, votes in its database, real Chromium. DOCDUET_SHOTS keeps pictures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from serving.store.database import Store
from serving.store.facts import facts_of
from serving.store.tables import Answer, Choice, Vote
from tests.e2e.chromium import MARKS, shoot
from tests.fake_gateway import in_thread
from tests.fakes import ScriptedEngine
from tests.store_gateway import gateway, home_of
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

TOPICS = ("Ports", "Engines", "安装", "<img src=x onerror='window.hacked=1'>")
HEADLINE = ".dr-headline"


def seed(store: Store, votes: int = 160, days_ago: float = 20.0) -> None:
    """Blind comparisons of `rag` and `sft` by twelve people; `rag` wins two of three."""
    chance = random.Random(0)
    answers, choices, cast = [], [], []
    for n in range(votes):
        arms = chance.sample(("rag", "sft"), 2)
        at = time.time() - days_ago * 86_400 + n
        answers.append(_answer(f"ans_{n}", at, chance.choice(("en", "en", "zh")), arms))
        both = [_choice(f"ans_{n}", index, arm, chance) for index, arm in enumerate(arms)]
        won = arms.index("rag" if chance.random() < 0.66 else "sft")
        winner = chance.choices((str(won), "tie", "both_bad"), (80, 15, 5))[0]
        vote = {"answer_id": f"ans_{n}", "owner": f"user{n % 12}", "arms": arms, "winner": winner, "blind": True}
        facts = facts_of(Answer(**answers[-1]), [Choice(**choice) for choice in both])
        cast.append(vote | {"comment": "", "created_at": at} | facts)
        choices += both
    with store.writing() as db:
        for table, rows in ((Answer, answers), (Choice, choices), (Vote, cast)):
            db.execute(insert(table), rows)


def _answer(id: str, at: float, lang: str, arms: list[str]) -> dict[str, Any]:
    row = {"id": id, "owner": "local", "conversation_id": None, "asked_at": at, "question": "q", "lang": lang}
    row |= {"history": [], "filters": {}, "model": "compare", "route": {"arms": arms}, "blind": True, "error": {}}
    return row | {"cancelled": False, "finished_at": at + 2, "usage": {}}


def _choice(id: str, index: int, arm: str, chance: random.Random) -> dict[str, Any]:
    row = {"answer_id": id, "index": index, "arm": arm, "text": "x" * chance.randint(100, 900), "reasoning": ""}
    sources = [{"n": 1, "title": chance.choice(TOPICS), "product": ""}] if arm == "rag" else []
    row |= {"refused": chance.random() < 0.15, "degraded": "", "finish_reason": "stop", "citations": []}
    times = {"first_token": chance.uniform(80, 600), "total": chance.uniform(900, 5000)}
    return row | {"sources": sources, "timings_ms": times, "usage": {"completion_tokens": 90}, "checks": {}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('report')}/docduet.sqlite")
    yield store
    store.close()


@pytest.fixture(scope="module")
def url(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = home_of(tmp_path_factory.mktemp("home"))
    app = gateway(home, str(store.engine.url), ScriptedEngine("Port 7860 [1]."))
    with in_thread(lambda url: mount(app, url, UiConfig())) as url:
        yield url


@pytest.fixture
def look(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Opens the report; afterwards nothing may have asked another origin, nor have met an error."""
    contexts, requests, errors = [], [], []

    def opened(lang: str = "en-US", dark: bool = False, width: int = 1280, height: int = 800) -> Any:
        scheme, size = "dark" if dark else "light", {"width": width, "height": height}
        context = browser.new_context(locale=lang, color_scheme=scheme, viewport=size, accept_downloads=True)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/#report")
        page.wait_for_selector(HEADLINE)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [address for address in requests if not address.startswith((url, "data:", "blob:"))] == []
    assert errors == []


def test_the_report_from_nothing_to_a_verdict(look: Callable[..., Any], store: Store, tmp_path: Path) -> None:
    """One flow, since the votes come in the middle: empty, seeded, narrowed to a time, told in Chinese, downloaded."""
    page = look()
    assert "There are no votes yet" in page.inner_text(HEADLINE)
    shoot(page, "report-empty", tmp_path)
    seed(store)
    page.select_option("[data-since]", "30d")
    page.wait_for_selector(".dr-forest")
    assert "prefer “Reads the docs” to “Learned the docs”" in page.inner_text(HEADLINE)
    assert page.locator(".dr-line").first.get_attribute("aria-label").startswith("All votes:")
    assert page.evaluate("window.hacked") is None
    assert page.locator("th", has_text="<img src=x").count() == 1
    shoot(page, "report-en", tmp_path)
    page.select_option("[data-since]", "7d")
    page.wait_for_function(f"() => document.querySelector('{HEADLINE}').textContent.includes('No votes fit')")
    page.select_option("[data-since]", "")
    page.wait_for_selector(".dr-forest")
    for format, start in (("html", b"<!doctype"), ("png", b"\x89PNG"), ("csv", b"\xef\xbb\xbfsection"), ("json", b"{")):
        with page.expect_download() as download:
            page.click(f"[data-format={format}]")
        assert Path(download.value.path()).read_bytes().startswith(start)
        assert download.value.suggested_filename == f"docduet-report.{format}"
    page.click("#dd-language")
    page.wait_for_function(f"() => document.querySelector('{HEADLINE}').textContent.includes('投票证明')")
    assert page.input_value("[data-since]") == ""


@pytest.mark.parametrize(
    ("lang", "dark", "width"), [("zh-CN", True, 390), ("en-US", False, 390), ("zh-CN", False, 1280)]
)
def test_it_fits_phone_and_screen(
    look: Callable[..., Any], store: Store, tmp_path: Path, lang: str, dark: bool, width: int
) -> None:
    page = look(lang, dark, width, 844 if width == 390 else 800)
    page.wait_for_selector(".dr-forest")
    wide = "() => document.querySelector('.dd-report').scrollWidth - document.querySelector('.dd-report').clientWidth"
    assert page.evaluate(wide) == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert ("投票证明" if lang == "zh-CN" else "The votes prove") in page.inner_text(HEADLINE)
    shoot(page, f"report-{lang[:2]}-{width}{'-dark' if dark else ''}", tmp_path)


def test_the_keyboard_reaches_everything_and_a_failure_can_be_tried_again(look: Callable[..., Any], url: str) -> None:
    page = look()
    page.wait_for_selector(".dr-forest")
    page.focus("[data-since]")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.format || document.activeElement.tagName"))
    assert {"html", "png", "csv", "json", "SUMMARY", "DIV"} <= reached
    page.evaluate("location.hash = '#chat'")
    page.wait_for_selector("#dd-panel-chat.dd-shown")
    page.evaluate("location.hash = '#report'")
    page.wait_for_selector("#dd-panel-report.dd-shown .dr-forest")
