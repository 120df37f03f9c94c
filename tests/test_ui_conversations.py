"""The conversations beside the chat, without a browser: stored turns as turns of the page, the list, its wishes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from tests.fake_gateway import FakeGateway, in_thread
from tests.fakes import ScriptedEngine
from tests.store_gateway import QUESTION, ask, client, gateway, home_of
from ui.chat.panel import Chat
from ui.client import Gateway
from ui.config import UiConfig
from ui.conversations.client import Entry, read
from ui.conversations.render import entries_html, missing_html
from ui.conversations.sidebar import Sidebar
from ui.conversations.stored import PATIENCE_S, turns_of
from ui.events import AnswerParser
from ui.i18n import Words
from ui.turns import Turn, after, with_local_links

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("conversations")
    engines = (ScriptedEngine("🙂 It is port 7860 [1]."), ScriptedEngine("Port 7860.", name="sft"))
    app = gateway(home_of(folder / "home"), f"sqlite:///{folder / 'docduet.sqlite'}", *engines)
    with client(app, "local") as http:
        http.headers.pop("X-User")  # the one who uses this machine, as the page asks
        yield http


@pytest.fixture
def url(http: httpx.Client) -> str:
    return str(http.base_url).removesuffix("/v1/")


@pytest.fixture
def apples(http: httpx.Client) -> list[str]:
    """Ids of 31 conversations with titles."""
    return [http.post("/conversations", json={"title": f"Apple {n}"}).json()["id"] for n in range(31)]


def turn_body(**more: Any) -> dict[str, Any]:
    body = {"answer_id": "ans_1", "created": NOW - 10, "question": "How?", "model": "rag", "state": "finished"}
    return {"id": "conv_1", "turns": [body | {"choices": [], "route": {}, "error": None} | more]}


def one(now: float = NOW, **more: Any) -> Turn:
    (turn,) = turns_of(turn_body(**more), "http://gateway", now)
    return turn


def choice(text: str, index: int = 0, finish_reason: str | None = "stop", **own: Any) -> dict[str, Any]:
    return {"index": index, "message": {"content": text}, "finish_reason": finish_reason, "docduet": own}


@pytest.mark.parametrize("asked", [{"model": "rag"}, {"model": "compare"}, {"model": "compare", "blind": True}])
def test_a_stored_turn_is_the_turn_that_was_streamed(http: httpx.Client, url: str, asked: dict[str, Any]) -> None:
    model, blind = asked["model"], bool(asked.get("blind"))
    own = {"conversation": "new", "blind": blind, "filters": {"lang": "en"}}
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": QUESTION}], "docduet": own}
    parser, streamed = AnswerParser(), Turn("k", QUESTION, model)
    with http.stream("POST", "/chat/completions", json=body) as response:
        events = [event for line in response.iter_lines() for event in parser.feed(line)]
    for event in events:
        streamed = after(streamed, with_local_links(event, url))
    stored = http.get(f"/conversations/{streamed.conversation}").json()
    (turn,) = turns_of(stored, url, NOW)
    assert (turn.replies, turn.answer_id, turn.conversation) == (
        streamed.replies,
        streamed.answer_id,
        streamed.conversation,
    )
    assert (turn.question, turn.voice, turn.query, turn.blind) == (QUESTION, model, streamed.query, blind)
    assert turn.filters.lang == "en"
    assert [bool(reply.sources) for reply in turn.replies] == (
        [False] * 2 if blind else [True, False][: len(turn.replies)]
    )
    if not blind:
        assert turn.reply.sources[0].href.startswith("/pages/")
        return
    assert [reply.arm for reply in turn.replies] == ["", ""]
    http.post("/votes", json={"answer_id": turn.answer_id, "winner": "0"})
    (told,) = turns_of(http.get(f"/conversations/{turn.conversation}").json(), url, NOW)
    assert sorted(reply.arm for reply in told.replies) == ["rag", "sft"]


def test_what_became_of_a_turn() -> None:
    assert one(choices=[choice("So.", arm="rag")]).reply.state == "done"
    cut = one(state="cancelled", choices=[choice("Half", finish_reason=None, arm="rag")])
    assert (cut.reply.state, cut.reply.answer) == ("stopped", "Half")
    assert one(state="cancelled").reply.state == "stopped"
    failed = one(state="failed", error={"code": "engine_unavailable", "message": "no engine"})
    assert (failed.reply.state, failed.reply.failure_code) == ("failed", "engine_unavailable")
    broken = one(state="failed", error={"code": "x", "message": "y"}, choices=[choice("Half", finish_reason=None)])
    assert (broken.reply.state, broken.reply.answer) == ("failed", "Half")
    assert one(state="unfinished").running
    late = one(now=NOW + PATIENCE_S, state="unfinished")
    assert (late.reply.state, late.reply.failure_code) == ("failed", "interrupted")
    sides = one(choices=[choice("A"), choice("", 1, "error", error={"message": "gone", "code": "z"})])
    assert [reply.state for reply in sides.replies] == ["done", "failed"]
    refused = one(choices=[choice("No.", refused=True, sources=[])])
    assert refused.reply.refused


def test_titles_are_text() -> None:
    html = entries_html(
        [Entry("conv_1", "<img src=x onerror=alert(1)>\u202e\n\"'", NOW), Entry("conv_2", " ", NOW)], Words()
    )
    assert "<img" not in html
    assert "\u202e" not in html
    assert "Without a title" in html
    assert 'href="#chat/conv_1"' in html
    assert 'data-export="/v1/conversations/conv_1/export"' in html
    assert "<b>" not in missing_html("<b>", "<b>")


def wish(sidebar: Sidebar, value: Any = None, **wish: Any) -> Any:
    return sidebar.wished(value or {"lang": "en"}, gr.EventData(None, wish))


async def test_list_search_rename_and_delete(apples: list[str], url: str) -> None:
    sidebar = Sidebar(Gateway(url))
    first = await wish(sidebar, action="list", q="apple")
    assert (first["there"], first["html"].count("<li"), bool(first["next"])) == (True, 30, True)
    rest = await wish(sidebar, action="list", q="apple", after=first["next"])
    assert (rest["html"].count("<li"), rest["next"]) == (1, "")
    renamed = await wish(sidebar, action="rename", id=apples[3], title="Pear", q="pear")
    assert ">Pear<" in renamed["html"]
    gone = await wish(sidebar, {"lang": "zh"}, action="delete", id=apples[3], q="pear")
    assert (gone["html"], "没有提到" in gone["note"]) == ("", True)
    again = await wish(sidebar, action="delete", id=apples[3])
    assert "not there" in again["said"]
    for nonsense in ("x", {"action": "drop"}, {"id": 3}, {"q": "x" * 1000}):
        answer = await sidebar.wished({"lang": "en"}, gr.EventData(None, nonsense))
        assert json.dumps(answer, default=str) == json.dumps(gr.skip(), default=str)
    await sidebar.gateway.aclose()


async def test_a_question_asked_anew_takes_the_place_of_what_was_kept(url: str) -> None:
    page = Chat(Gateway(url), UiConfig())
    with gr.Blocks():
        page.build()
    value: Any = None
    for clicked in (None, None, {"question": QUESTION, "voice": "sft", "from": 0}):
        if clicked:
            clicked = clicked | {"from": value["turns"][0]["key"]}
        event = gr.EventData(None, clicked)
        value = [frame async for frame in page.ask(QUESTION, value, "rag", None, event)][-2][0]
    (turn,) = value["turns"]
    kept = await read(page.gateway, value["conversation"])
    assert [(told["model"], told["answer_id"]) for told in kept["turns"]] == [("sft", turn["turn"]["answer_id"])]
    await page.gateway.aclose()


async def test_a_conversation_is_opened_or_said_to_be_missing(http: httpx.Client, url: str) -> None:
    id = ask(http, conversation="new")["docduet"]["conversation"]
    page = Chat(Gateway(url), UiConfig())
    with gr.Blocks():
        page.build()
    value, box = await page.open({"lang": "zh", "wanted": id})
    assert (value["conversation"], value["opened"], value["lang"], value["pending"]) == (id, id, "zh", False)
    assert "It is port 7860" in value["turns"][0]["html"]
    assert "value" not in box  # what is being typed stays
    for wrong in ("conv_gone", "../../v1/models", "x" * 100, "端口"):
        value, _ = await page.open({"lang": "en", "wanted": wrong})
        assert (value["conversation"], value["opened"]) == ("", wrong)
        assert "This conversation is not there" in value["welcome"]
    for nothing in (None, {}, {"wanted": 3}, {"wanted": "x" * 101}):
        value, _ = await page.open(nothing)
        assert "What would you like to know?" in value["welcome"]
    await page.gateway.aclose()


async def test_a_gateway_that_keeps_nothing_shows_no_list() -> None:
    fake = FakeGateway()
    with in_thread(lambda _: fake.app()) as url:
        page = Chat(Gateway(url), UiConfig())
        with gr.Blocks():
            page.build()
        shown = await page.page(Words(), page.gateway)
        assert shown[page.sidebar.list]["there"] is False
        async for _ in page.ask("How?", None, "rag", None, gr.EventData(None, None)):
            pass
        assert "docduet" not in fake.asked[-1]
        await page.gateway.aclose()


def test_every_style_of_the_list_is_its_own() -> None:
    """Files of the part name elements that exist in it or in the frame."""
    folder = Path(__file__).parents[1] / "ui" / "conversations"
    style, code = ((folder / name).read_text(encoding="utf-8") for name in ("style.css", "conversations.js"))
    for name in ("dd-side-closed", "dd-drawer-closed", "dd-no-side", "dd-opening"):
        assert name in style
        assert name in code
