"""Side by side and blind in a real Chromium, on the real gateway with two scripted engines. DOCDUET_SHOTS=FOLDER keeps
the screenshots.

pytest tests/e2e/test_sides.py -m browser
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from data.home import Home
from data.prompts import Message
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.delta import EngineDelta
from tests.e2e.chromium import MARKS, shoot
from tests.fake_gateway import in_thread
from tests.fakes import HashedWords, ScriptedEngine, ScriptedSupervisor
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

PAGES = [
    Page("harbour.md", "Harbours", "# Harbours\n\nThe gateway listens on port 7860 by default. `--port` changes it.\n"),
    Page("zh/harbour.md", "港口", "# 港口\n\n网关默认监听 7860 端口。\n\n用 `--port` 修改端口。\n", lang="zh"),
]
QUESTION = "Which port does the gateway listen on by default?"
ZH_QUESTION = "网关默认监听哪个端口？"
READ = (
    "The gateway listens on port 7860 by default [1].\n\n- Change it with `--port` [1].\n- Ports below 1024 need root."
)
LEARNED = "By default the gateway listens on port 7860.\n\nRestart the gateway after a change.\n" + "".join(
    f"\n{n}. Step {n} of a long explanation that nobody has asked for." for n in range(1, 41)
)
ZH_READ = "网关默认监听 7860 端口 [1]。可以用 `--port` 修改端口 [1]。"
ZH_LEARNED = "网关默认监听的端口是 7860。修改以后需要重启网关。"
SECRETS = ("rag", "sft", "Reads the docs", "Learned the docs", "Harbours", "harbour.md", "retrieve", "[1]")


class Paced(ScriptedEngine):
    """A scripted engine that waits while its gate is closed, and says Chinese to a Chinese question."""

    def __init__(self, text: str, zh: str, name: str) -> None:
        super().__init__(text, cut=12, name=name)
        self.zh = zh
        self.open = threading.Event()  # of threads: the test closes it from outside the gateway's loop
        self.open.set()

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        speaker = ScriptedEngine(self.zh if "端口？" in str(messages[-1]["content"]) else self.text, cut=self.cut)
        async for delta in speaker.chat(messages, **params):
            yield delta
            await asyncio.to_thread(self.open.wait, 30)


READER, LEARNER = Paced(READ, ZH_READ, "base"), Paced(LEARNED, ZH_LEARNED, "sft")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("sides"))


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    embedder = HashedWords()
    build_index(PAGES, home, RagConfig(), embedder=embedder)
    engines = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in (READER, LEARNER))
    supervisor: Any = ScriptedSupervisor(READER, LEARNER)
    gateway = create_app(ServingConfig(engines=engines), supervisor, LiveIndex(home, RagConfig(), embedder))
    with in_thread(lambda url: mount(gateway, url, UiConfig())) as url:
        yield url


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[Open]:
    """Opens the app with a voice chosen; no page may meet an error or ask another origin."""
    contexts, errors, foreign = [], [], []

    def opened(voice: str = "compare", lang: str = "en-US", dark: bool = False, width: int = 1280) -> Any:
        height = 800 if width > 500 else 844
        scheme = "dark" if dark else "light"
        context = browser.new_context(locale=lang, color_scheme=scheme, viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: foreign.append(request.url) if not request.url.startswith(url) else None)
        page.goto(url)
        page.wait_for_selector(".dd-welcome")
        if width > 900:
            page.check(f"#dd-voice input[value={voice}]", force=True)
        else:
            page.select_option("#dd-voice select", voice)
        return page

    yield opened
    READER.open.set()
    for context in contexts:
        context.close()
    assert errors == []
    assert [address for address in foreign if not address.startswith(("data:", "blob:"))] == []


def ask(page: Any, question: str = QUESTION, whole: bool = True) -> Any:
    before = page.locator("article").count()
    page.fill("#dd-box textarea", question)
    page.keyboard.press("Enter")
    article = page.locator("article").nth(before)
    if whole:
        article.locator(".dd-vote-bar").wait_for()
    return article


def sides(article: Any) -> tuple[Any, Any]:
    left, right = (article.locator(f".dd-side >> nth={n}") for n in (0, 1))
    return left, right


def votes(home: Home) -> list[tuple[str, str, int]]:
    """(winner, comment, blind) of every vote that the gateway keeps."""
    with closing(sqlite3.connect(home.root / "docduet.sqlite")) as base:
        return list(base.execute("SELECT winner, comment, blind FROM votes ORDER BY created_at"))


def test_both_columns_stream_at_once_and_neither_waits(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    READER.open.clear()
    article = ask(page, whole=False)
    left, right = sides(article)
    left.locator(".dd-side-text").wait_for()
    right.locator(".dd-answer[aria-busy=false]").wait_for()
    assert left.locator(".dd-answer").get_attribute("aria-busy") == "true"
    assert left.locator(".dd-prose").inner_text() == READ[:12].strip()
    assert right.locator("li").count() == 40
    assert article.locator(".dd-vote-bar").count() == 0
    READER.open.set()
    article.locator(".dd-vote-bar").wait_for()
    assert "Reads the docs" in left.inner_text()
    assert "Learned the docs" in right.inner_text()
    assert re.search(r"\d+ words · 2 citations · .*first word", left.locator(".dd-times").inner_text())
    assert re.search(r"\d+ words · no citations · .*total", right.locator(".dd-times").inner_text())
    shoot(page, "sides", tmp_path)


def test_columns_are_of_one_height_and_scroll_together_until_told_not_to(open_page: Open) -> None:
    page = open_page()
    page.set_viewport_size({"width": 1280, "height": 700})
    left, right = sides(ask(page))
    boxes = [side.locator(".dd-side-text").bounding_box() for side in (left, right)]
    assert (boxes[0]["y"], boxes[0]["height"]) == (boxes[1]["y"], boxes[1]["height"])
    short, long = (side.locator(".dd-side-text") for side in (left, right))
    short.evaluate("column => column.firstElementChild.style.paddingBottom = '800px'")  # now both are longer than that
    share = "c => c.scrollTop / (c.scrollHeight - c.clientHeight)"
    long.hover()
    page.mouse.wheel(0, 400)
    page.wait_for_function("c => c.scrollTop > 0", arg=short.element_handle())
    assert short.evaluate(share) == pytest.approx(long.evaluate(share), abs=0.01)
    page.get_by_label("Scroll together").uncheck()
    at = short.evaluate("c => c.scrollTop")
    long.evaluate("c => c.scrollTo(0, 0)")
    page.wait_for_timeout(100)
    assert short.evaluate("c => c.scrollTop") == at


def test_what_only_one_says_is_marked_on_demand(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    article = ask(page)
    left, right = sides(article)
    plain = "mark => getComputedStyle(mark).boxShadow"
    mark = left.locator("mark").first
    assert mark.evaluate(plain) == "none"
    page.get_by_label("Mark differences").focus()
    page.keyboard.press("Space")
    assert mark.evaluate(plain) != "none"
    assert left.locator(".dd-prose mark").all_inner_texts() == [
        "Change it with --port [1].",
        "Ports below 1024 need root.",
    ]
    assert right.locator(".dd-prose mark").first.inner_text() == "Restart the gateway after a change."
    shoot(page, "sides-differences", tmp_path)


def test_a_vote_each_way_by_keyboard(open_page: Open, home: Home) -> None:
    page = open_page()
    before = len(votes(home))
    said = ("the left answer better", "the right answer better", "both answers good", "both answers bad")
    for key, says in enumerate(said, 1):
        article = ask(page)
        article.locator(".dd-side-text").first.focus()
        page.keyboard.press(str(key))
        page.keyboard.press("Enter")
        article.locator(".dd-voted").wait_for()
        assert says in article.locator(".dd-voted").inner_text()
        assert page.evaluate("document.activeElement.className") == "dd-voted"
    assert votes(home)[before:] == [(winner, "", 0) for winner in ("0", "1", "tie", "both_bad")]


def test_a_vote_with_reasons_is_kept_shown_and_changed(open_page: Open, home: Home, tmp_path: Path) -> None:
    page = open_page()
    article = ask(page)
    article.locator(".dd-winner label", has_text="Right").click()
    article.locator(".dd-reasons label", has_text="More complete").click()
    article.locator(".dd-vote textarea").fill("It <b>says</b> why")
    shoot(page, "sides-vote", tmp_path)
    article.get_by_role("button", name="Vote").click()
    voted = article.locator(".dd-voted")
    voted.wait_for()
    assert votes(home)[-1] == ("1", "#complete It <b>says</b> why", 0)
    assert "More complete" in voted.inner_text()
    assert "It <b>says</b> why" in voted.inner_text()
    shoot(page, "sides-voted", tmp_path)
    count = len(votes(home))
    article.get_by_text("Change vote").click()
    assert article.get_by_label("More complete").is_checked()
    article.locator(".dd-winner label", has_text="Both bad").click()
    assert not article.get_by_label("More complete").is_visible()
    article.locator(".dd-reasons label", has_text="Wrong").click()
    article.get_by_role("button", name="Vote").click()
    article.get_by_text("You found both answers bad").wait_for()
    assert votes(home)[-1] == ("both_bad", "#wrong It <b>says</b> why", 0)
    assert len(votes(home)) == count
    assert not article.locator(".dd-vote").is_visible()


def test_a_vote_while_the_next_answer_streams_stays(open_page: Open, home: Home) -> None:
    page = open_page()
    first = ask(page)
    READER.open.clear()
    second = ask(page, whole=False)
    sides(second)[1].locator(".dd-answer[aria-busy=false]").wait_for()
    first.locator(".dd-winner label", has_text="Both good").click()
    first.get_by_role("button", name="Vote").click()
    first.locator(".dd-voted").wait_for()
    READER.open.set()
    second.locator(".dd-vote-bar").wait_for()
    assert "both answers good" in first.locator(".dd-voted").inner_text()
    page.click("#dd-language")  # the whole conversation goes to the server and comes back in the other language
    first.get_by_text("你认为两个回答都好").wait_for()
    assert second.locator(".dd-vote").count() == 1


def test_a_vote_that_is_not_counted_says_so_in_its_place(open_page: Open, home: Home) -> None:
    page = open_page()
    article = ask(page)
    with closing(sqlite3.connect(home.root / "docduet.sqlite")) as base, base:
        base.execute("DELETE FROM answers")
    article.locator(".dd-winner label", has_text="Left").click()
    article.get_by_role("button", name="Vote").click()
    article.locator(".dd-vote-error", has_text="no such answer").wait_for()
    assert article.locator(".dd-vote input:checked").count() == 1  # and can be sent again
    assert page.locator(".toast-body").count() == 0


def test_a_blind_answer_gives_nothing_away_before_the_vote(open_page: Open, home: Home, tmp_path: Path) -> None:
    page = open_page("blind")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data or ''}"))
    page.evaluate(LISTEN)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    article = ask(page)
    left, right = sides(article)
    copied = []
    for side in (left, right):
        side.locator("[data-copy=answer]").click()
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    page.wait_for_timeout(300)
    shoot(page, "blind", tmp_path)
    dom = page.locator("#dd-chat").evaluate("e => e.outerHTML")
    heard = page.evaluate("window.heard.join('')")
    assert "listens on port 7860" in heard  # the stream was listened to
    for text in (dom, heard, *copied, *sent):
        gives_away(OFFERED.sub("", text))
    shells = [re.sub(r"Left|Right|\d+", "", side.evaluate(SHELL)) for side in (left, right)]
    assert shells[0] == shells[1]
    assert left.locator(".dd-times").inner_text().endswith("words")

    again = ask(page)  # asked without a vote: both stay blind
    gives_away(page.locator("#dd-chat").evaluate("e => e.outerHTML"))
    again.locator(".dd-winner label", has_text="Left").click()
    again.get_by_role("button", name="Vote").click()
    again.locator(".dd-voted").wait_for()
    assert votes(home)[-1][::2] == ("0", 1)
    text = again.inner_text()
    assert "Reads the docs" in text
    assert "Learned the docs" in text
    assert again.locator(".dd-card").count() > 0
    assert again.locator(".dd-cite").count() == 2
    assert "total" in again.locator(".dd-times").first.inner_text()
    assert again.locator(".dd-revote").count() == 0
    gives_away(article.evaluate("e => e.outerHTML"))
    shoot(page, "blind-voted", tmp_path)


OFFERED = re.compile(r'"voices":\s?\[\[.*?\]\]')  # the voices that can be asked: no word of which ones answer
SHELL = """side => {
  const copy = side.cloneNode(true);
  copy.querySelector(".dd-prose").replaceChildren();
  return copy.outerHTML;
}"""  # a side without its words


LISTEN = """() => {
  window.heard = [];
  const fetched = window.fetch;
  window.fetch = async (...args) => {
    const response = await fetched(...args);
    const reader = response.clone().body?.getReader();
    const decoder = new TextDecoder();
    const listen = async () => {
      for (let next; reader && !(next = await reader.read()).done; )
        window.heard.push(decoder.decode(next.value, {stream: true}));
    };
    listen().catch(() => {}); // a request that Gradio gives up
    return response;
  };
}"""  # keeps all that the page is sent, streams as well


def gives_away(text: str) -> None:
    """Fails where ``text`` names an arm, its sources or its times."""
    text = re.sub(r'\\*"voices\\*": *\[\[.*?\]\]', "", text)  # what may be chosen is the same for every answer
    assert not re.search(r'timings_ms\\*": *\{[^}]', text)
    for word in SECRETS:
        found = re.search(rf"(?<![A-Za-z-]){re.escape(word)}(?![A-Za-z-])", text)
        assert not found, f"{word}: {text[max(0, found.start() - 200) : found.end() + 100]}"


def test_in_chinese_on_a_phone_one_side_at_a_time(open_page: Open, home: Home, tmp_path: Path) -> None:
    page = open_page("compare", "zh-CN", dark=True, width=390)
    article = ask(page, ZH_QUESTION)
    left, right = sides(article)
    seen = "e => { const b = e.getBoundingClientRect(); return b.left > -20 && b.right < innerWidth + 20 }"
    shoot(page, "sides-zh-phone", tmp_path)
    assert (left.evaluate(seen), right.evaluate(seen)) == (True, False)
    article.get_by_role("button", name="右侧").click()
    page.wait_for_function(seen, arg=right.element_handle())
    assert article.locator(".dd-tabs [aria-current=true]").inner_text() == "右侧"
    assert re.search(r"\d+ 字 · 无引用", right.inner_text())
    page.get_by_label("标出差异").check()
    assert right.locator(".dd-prose mark").all_inner_texts() == ["修改以后需要重启网关。"]
    shoot(page, "sides-zh-phone-differences", tmp_path)
    article.locator(".dd-winner label", has_text="左侧").click()
    article.locator(".dd-reasons label", has_text="更准确").click()
    shoot(page, "sides-zh-phone-vote", tmp_path)
    article.get_by_role("button", name="投票").click()
    article.get_by_text("你认为左侧的回答更好").wait_for()
    assert votes(home)[-1] == ("0", "#accurate", 0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
