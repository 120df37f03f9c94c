"""The chat app mounted on a gateway: routes, page and handlers. The browser's part is in tests/e2e."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

import ui
from tests.fake_gateway import FakeGateway, Script, in_thread, source
from ui.app import mount
from ui.chat.panel import Chat
from ui.client import Gateway
from ui.config import UiConfig
from ui.i18n import Words
from ui.turns import Reply, Turn, dump

FAKE = FakeGateway({"cited": Script("Set it [1].", (source(1),)), "boom": Script(error=(503, "no index", "no_index"))})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with in_thread(lambda url: mount(FAKE.app(), url, UiConfig(title="Acme docs"))) as url:
        yield url


@pytest.fixture
async def chat(url: str) -> Any:
    page = Chat(Gateway(url), UiConfig())
    with gr.Blocks():
        page.build_header()
        page.build()
    yield page
    await page.gateway.aclose()


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/healthz", "ok"),
        ("/readyz", '"ready"'),
        ("/metrics", "docduet_up"),
        ("/v1/models", '"rag"'),
        ("/pages/ab12", "Stored page ab12"),
    ],
)
def test_the_gateway_keeps_its_paths(url: str, path: str, there: str) -> None:
    assert there in httpx.get(url + path).text


def test_the_rest_is_the_app(url: str) -> None:
    page = httpx.get(url)
    assert page.status_code == 200
    assert "<title>Acme docs</title>" in page.text or '"title":"Acme docs"' in page.text


def test_the_page_loads_nothing_from_elsewhere(url: str) -> None:
    html = httpx.get(url).text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']([^\"']+)", html)
    assert loaded
    assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []
    files = [path for path in Path(ui.__path__[0]).rglob("*") if path.suffix in (".css", ".js", ".svg")]
    assert len(files) >= 5
    for name in files:
        text = name.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), name


def test_no_telemetry_and_no_connection_per_tab(url: str) -> None:
    config = httpx.get(f"{url}/config").json()
    assert config["analytics_enabled"] is False
    assert config["connect_heartbeat"] is False
    assert config["footer_links"] == []
    assert not [c for c in config["components"] if c["type"] == "state"]


def test_nothing_can_be_uploaded(url: str) -> None:
    answer = httpx.post(f"{url}/gradio_api/upload", files={"files": ("a.txt", b"x" * 5000)})
    assert answer.status_code >= 400


async def frames(chat: Chat, question: str, value: Any = None, data: Any = None, chosen: Any = None) -> list[Any]:
    event = gr.EventData(None, data)
    return [outputs async for outputs in chat.ask(question, value, "rag", chosen, event)]


def turns_of(frame: Any) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = frame[0]["turns"]
    return turns


async def test_an_answer_grows_and_ends_with_its_sources(chat: Chat) -> None:
    seen = await frames(chat, "cited")
    first, last = (turns_of(frame)[-1]["turn"]["replies"][0] for frame in (seen[0], seen[-2]))
    assert (first["state"], first["answer"]) == ("waiting", "")
    assert (last["state"], last["answer"]) == ("done", "Set it [1].")
    assert last["sources"][0]["href"] == "/pages/page1?quote=x"
    assert seen[0][1]["stop_btn"] is True
    assert seen[-1][1]["stop_btn"] is False


async def test_a_failed_answer_is_a_turn_that_can_be_asked_again(chat: Chat) -> None:
    turn = turns_of((await frames(chat, "boom"))[-2])[-1]
    assert turn["turn"]["replies"][0]["state"] == "failed"
    assert "data-again" in turn["html"]
    assert "Nothing has been indexed yet" in turn["html"]


async def test_no_gateway_is_said_in_the_conversation() -> None:
    page = Chat(Gateway("http://127.0.0.1:9"), UiConfig())
    seen = await frames(page, "x")
    assert "The gateway does not answer" in turns_of(seen[-2])[-1]["html"]
    with gr.Blocks() as app:
        page.build()
    assert "dd-banner-bad" in (await page.settled(None))[0]
    asking = next(one for one in app.config["dependencies"] if one["api_name"] == "ask")
    then = [one["api_name"] for one in app.config["dependencies"] if one["trigger_after"] == asking["id"]]
    assert then == ["settled"]


async def test_an_example_is_asked_instead_of_the_box(chat: Chat) -> None:
    assert turns_of((await frames(chat, "", None, {"question": "cited"}))[0])[-1]["turn"]["question"] == "cited"


async def test_a_question_asked_anew_replaces_its_turn_and_those_after_it(chat: Chat) -> None:
    asked = [Turn(key, f"q{key}", replies=(Reply("done", f"a{key}"),)) for key in "abc"]
    value = {"turns": [{"turn": dump(turn)} for turn in asked]}
    frame = (await frames(chat, "draft", value, {"question": "cited", "voice": "base", "from": "b"}))[-2]
    assert [turn["turn"]["question"] for turn in turns_of(frame)] == ["qa", "cited"]
    assert [m["content"] for m in FAKE.asked[-1]["messages"]] == ["qa", "aa", "cited"]
    assert FAKE.asked[-1]["model"] == "base"


async def test_what_is_typed_meanwhile_stays_when_a_click_asks(chat: Chat) -> None:
    assert "value" not in (await frames(chat, "draft", None, {"question": "cited"}))[0][1]
    assert (await frames(chat, "cited"))[0][1]["value"] == ""


@pytest.mark.parametrize("data", [{"question": "cited", "voice": {"a": 1}, "from": []}, ["x"], "x", 3])
async def test_nonsense_from_a_click_is_no_voice_and_no_turn(chat: Chat, data: Any) -> None:
    assert turns_of((await frames(chat, "cited", {"turns": 3}, data))[-2])[0]["turn"]["voice"] == "rag"


async def test_a_blind_test_is_offered_where_there_is_a_comparison(chat: Chat) -> None:
    FAKE.voices = ("auto", "base", "rag", "sft", "compare", "other")
    try:
        page = await chat.page(Words("zh"), chat.gateway, None, {"chosen": "blind"})
    finally:
        FAKE.voices = ("rag", "base")
    names = [name for name, *_ in page[chat.voice]["voices"]]
    assert names == ["auto", "rag", "sft", "compare", "blind", "base", "other"]
    assert page[chat.voice]["chosen"] == "blind"
    assert ["blind", "盲测", "两个不署名的答案：投票后才知道是谁的"] in page[chat.voice]["voices"]
    event = gr.EventData(None, None)
    _ = [frame async for frame in chat.ask("cited", None, {"chosen": "blind"}, None, event)]
    assert (FAKE.asked[-1]["model"], FAKE.asked[-1]["docduet"]) == ("compare", {"blind": True})


async def test_an_empty_question_asks_nothing(chat: Chat) -> None:
    asked = len(FAKE.asked)
    assert len(await frames(chat, "   ")) == 1
    assert len(FAKE.asked) == asked


async def test_earlier_turns_travel_along_and_stay(chat: Chat) -> None:
    earlier = Turn("k1", "How?", replies=(Reply("done", "So."),))
    value = {"lang": "zh", "turns": [{"turn": dump(earlier)}, "nonsense", {"turn": {"key": 3}}]}
    seen = await frames(chat, "cited", value)
    assert turns_of(seen[-2])[0]["key"] == "k1"
    assert seen[-2][0]["lang"] == "zh"
    assert [m["content"] for m in FAKE.asked[-1]["messages"]] == ["How?", "So.", "cited"]


async def test_stop_keeps_what_was_said_and_switch_changes_the_words(chat: Chat) -> None:
    value = {"lang": "en", "turns": [{"turn": dump(Turn("k1", "How?", replies=(Reply("writing", "Half"),)))}]}
    conversation, box = chat.stop(value)
    assert "Stopped." in conversation["turns"][0]["html"]
    assert box["submit_btn"] is True
    page = await chat.page(Words("zh"), chat.gateway, value, "base", None)
    assert "已停止" in page[chat.chat]["turns"][0]["html"]
    assert page[chat.voice]["chosen"] == "base"
    assert chat.clear(value)[0]["turns"] == []


async def test_filters_go_with_the_question_and_stay_with_its_turn(chat: Chat) -> None:
    chosen = {"chosen": {"product": "Widget", "version": "2.1", "lang": "zh", "colour": "red"}}
    last = turns_of((await frames(chat, "cited", chosen=chosen))[-2])[-1]
    assert FAKE.asked[-1]["docduet"]["filters"] == {"product": "Widget", "version": "2.1", "lang": "zh"}
    assert "Only from Widget · 2.1 · Chinese" in last["html"]
    again = turns_of((await frames(chat, "cited", {"turns": [last]}))[-2])
    assert "Only from Widget · 2.1 · Chinese" in again[0]["html"]
    assert "Only from" not in again[1]["html"]
    assert "docduet" not in FAKE.asked[-1]


@pytest.mark.parametrize("sent", [None, [], {}, {"chosen": 3}, {"chosen": {"product": {"a": 1}, "lang": "x" * 9999}}])
async def test_what_is_no_filter_is_left_out(chat: Chat, sent: Any) -> None:
    await frames(chat, "cited", chosen=sent)
    assert "docduet" not in FAKE.asked[-1]


async def test_an_open_page_learns_of_new_labels_and_of_a_refresh(chat: Chat) -> None:
    assert (await chat.look(None))[chat.filters]["values"]["product"] == []
    FAKE.labels = (("Widget", "1", "en"), ("Gadget", "2", "zh"))
    FAKE.refresh = {"last": {"succeeded_at": time.time() - 720, "error": ""}}
    try:
        page = await chat.look({"lang": "zh", "chosen": {"product": "Widget"}})
    finally:
        FAKE.labels, FAKE.refresh = (), {"state": "off"}
    assert page[chat.filters]["values"] == {
        "product": ["Gadget", "Widget"],
        "version": ["1", "2"],
        "lang": ["en", "zh"],
    }
    assert page[chat.filters]["combinations"] == [["Widget", "1", "en"], ["Gadget", "2", "zh"]]
    assert page[chat.filters]["chosen"]["product"] == "Widget"
    assert page[chat.filters]["all"]["product"] == "全部产品"
    assert "文档 12 分钟前更新" in page[chat.status]
