"""The gateway's client, against a scripted gateway over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse

from data.errors import GatewayError
from data.types import Filters
from tests.fake_gateway import FakeGateway, Script, serving, source
from ui.client import Gateway, Labels, Readiness, RequestError, user
from ui.events import (
    AnswerParser,
    Done,
    Failure,
    Marker,
    Sentence,
    SourceFound,
    Stale,
    Started,
    Text,
    Thinking,
    Unsupported,
    Used,
)

CITED = Script("Set it [1]. 😀 Then [2], then [1].", (source(1, marks=[[4, 8]]), source(2, title="Two")), thinking="hm")


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway({"cited": CITED})


@pytest.fixture
def gateway(fake: FakeGateway) -> Iterator[Gateway]:
    with serving(fake.app()) as url:
        client = Gateway(url)
        yield client
        client.close()


def test_an_answer_is_events_in_order(gateway: Gateway) -> None:
    events = list(gateway.ask([user("cited")]))
    assert events[0] == Started("ans_1", "asked for", "cited", False)
    assert events[1] == Thinking("hm")
    assert [e.source.n for e in events if isinstance(e, SourceFound)] == [1, 2]
    done = events[-2]
    assert events[-1] == Used(1234, 56)
    assert isinstance(done, Done)
    assert [s.title for s in done.sources] == ["Ports", "Two"]
    assert done.sources[0].marks == ((4, 8),)
    assert done.sources[0].heading_path == ("Setup", "Network")
    assert done.sources[0].href.startswith(f"{gateway.url}/pages/")
    assert done.timings_ms["total"] == 912.0


def test_markers_lie_where_their_offsets_say(gateway: Gateway) -> None:
    events = list(gateway.ask([user("cited")]))
    text = "".join(e.text for e in events if isinstance(e, Text | Marker))
    markers = [e for e in events if isinstance(e, Marker)]
    assert text == CITED.text
    assert [text[m.start : m.end] for m in markers] == ["[1]", "[2]", "[1]"]


async def test_async_says_the_same_as_sync(gateway: Gateway) -> None:
    sync = await asyncio.to_thread(lambda: list(gateway.ask([user("cited")])))
    assert [event async for event in gateway.ask_async([user("cited")])] == sync
    assert await gateway.models_async() == ["rag", "base"] == await asyncio.to_thread(gateway.models)
    assert await gateway.readiness_async() == Readiness(True, "engine")
    await gateway.aclose()


async def test_closing_an_answer_hangs_up(fake: FakeGateway, gateway: Gateway) -> None:
    fake.default = Script("word " * 500, pause=0.02)
    answer = gateway.ask_async([user("long")])
    async for event in answer:
        if isinstance(event, Text):
            break
    await answer.aclose()
    for _ in range(100):
        if fake.hung_up:
            break
        await asyncio.sleep(0.05)
    assert fake.hung_up == 1
    await gateway.aclose()


def test_filters_travel_only_when_there_are_some(fake: FakeGateway, gateway: Gateway) -> None:
    list(gateway.ask([user("x")], "base"))
    list(gateway.ask([user("x")], filters=Filters(lang="zh")))
    assert fake.asked[0]["model"] == "base"
    assert "docduet" not in fake.asked[0]
    assert fake.asked[1]["docduet"] == {"filters": {"lang": "zh"}}


CHECKS = {
    "support": [
        {"start": 0, "end": 4, "url": "a.md", "title": "A", "page_id": "ab", "score": 0.9},
        {"start": 5, "end": 9, "url": None, "title": None, "page_id": None, "score": 0.0},
    ],
    "unsupported": [{"start": 0, "end": 4, "n": 2}],
    "stale": [{"url": "a.md", "title": "A"}],
    "truncated": {"history": 3, "passages": 1},
}


def test_what_was_checked_comes_with_the_end(fake: FakeGateway, gateway: Gateway) -> None:
    fake.default = Script("Yes. And no.", checks=CHECKS, scores={"rag": 0.7})
    events = list(gateway.ask([user("x")]))
    assert isinstance(events[0], Started)
    assert events[0].scores == {"rag": 0.7}
    done = next(event for event in events if isinstance(event, Done))
    assert done.support == (Sentence(0, 4, "a.md", "A", "ab"), Sentence(5, 9))
    assert done.unsupported == (Unsupported(0, 4, 2),)
    assert done.stale == (Stale("a.md", "A"),)
    assert done.left_out == (3, 1)
    fake.default = Script(checks={"support": None, "truncated": None})
    assert next(event for event in gateway.ask([user("x")]) if isinstance(event, Done)).support is None


def test_a_blind_test_asks_for_a_blind_comparison(fake: FakeGateway, gateway: Gateway) -> None:
    list(gateway.ask([user("x")], "compare", Filters(lang="zh"), blind=True))
    assert fake.asked[-1]["model"] == "compare"
    assert fake.asked[-1]["docduet"] == {"blind": True, "filters": {"lang": "zh"}}


def test_the_demonstration_s_model_is_told(fake: FakeGateway, gateway: Gateway) -> None:
    assert not gateway.readiness().demo
    fake.demo = True
    assert gateway.readiness().demo


def test_an_error_response_keeps_its_message_and_code(fake: FakeGateway, gateway: Gateway) -> None:
    fake.default = Script(error=(404, "unknown model 'x'; this gateway serves: rag", "model_not_found"))
    with pytest.raises(RequestError, match="this gateway serves: rag") as caught:
        list(gateway.ask([user("x")]))
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_an_error_mid_answer_keeps_what_was_said(fake: FakeGateway, gateway: Gateway) -> None:
    fake.default = Script("Half of", fails_midway="the engine broke off")
    events = list(gateway.ask([user("x")]))
    assert "".join(e.text for e in events if isinstance(e, Text)) == "Half of"
    assert events[-1] == Failure("the engine broke off", "engine_unavailable")


def test_a_stream_without_an_end_is_a_failure(fake: FakeGateway, gateway: Gateway) -> None:
    fake.default = Script("Half of", breaks_off=True)
    last = list(gateway.ask([user("x")]))[-1]
    assert isinstance(last, Failure)
    assert last.code == "broken_off"


def test_an_answer_that_a_shutdown_cut_off_is_a_failure() -> None:
    script = Script("Half of the", degraded="shutting down")
    with serving(FakeGateway(default=script).app()) as url:
        done = list(Gateway(url).ask([user("x")]))[-2]
    assert isinstance(done, Done)
    assert (done.failure_code, done.degraded) == ("shutting_down", None)
    assert "Ask again" in done.failure


def test_a_connection_lost_mid_answer_is_a_failure() -> None:
    app = FastAPI()

    async def dies() -> object:
        yield b'data: {"choices":[{"index":0,"delta":{"content":"Half"}}]}\n\n'
        raise ConnectionError("gone")

    app.post("/v1/chat/completions")(lambda: StreamingResponse(dies(), media_type="text/event-stream"))  # type: ignore[arg-type]
    with serving(app) as url:
        events = list(Gateway(url).ask([user("x")]))
    assert events[0] == Text("Half")
    assert isinstance(events[-1], Failure)


def test_no_gateway_says_how_to_start_one() -> None:
    with pytest.raises(GatewayError, match="docduet serve"):
        Gateway("http://127.0.0.1:9").models()


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://[::"])
def test_what_is_no_address_is_named(url: str) -> None:
    with pytest.raises(GatewayError, match="not an address"):
        Gateway(url).models()


def test_another_kind_of_server_is_not_a_gateway() -> None:
    app = FastAPI()
    app.get("/v1/models")(lambda: PlainTextResponse("<html>hello</html>"))
    app.get("/readyz")(lambda: PlainTextResponse("no", 502))
    with serving(app) as url:
        with pytest.raises(GatewayError, match="does not answer like a DocDuet gateway"):
            Gateway(url).models()
        with pytest.raises(RequestError, match="HTTP 502"):
            Gateway(url).readiness()


def test_not_ready_says_why(fake: FakeGateway, gateway: Gateway) -> None:
    fake.ready, fake.mode = False, "quoting"
    state = gateway.readiness()
    assert state == replace(state, ready=False, mode="quoting")
    assert "docduet sync" in state.error


@pytest.mark.parametrize("line", ["", ": keep-alive", "event: x", "data: [DONE]", 'data: "text"', "data: {}"])
def test_lines_that_are_not_ours_bring_nothing(line: str) -> None:
    assert AnswerParser().feed(line) == []


def test_broken_json_ends_the_answer_once() -> None:
    parser = AnswerParser()
    assert [type(event) for event in parser.feed("data: {oops")] == [Failure]
    assert parser.feed('data: {"choices":[{"delta":{"content":"late"}}]}') == []
    assert parser.end() == []


async def test_labels_and_the_refresh(fake: FakeGateway, gateway: Gateway) -> None:
    assert await gateway.labels_async() == Labels({"product": (), "version": (), "lang": ()})
    fake.labels = (("Widget", "2", "en"), ("", "", "zh"))
    fake.refresh = {"state": "waiting", "last": {"succeeded_at": 5.0, "error": "the site is gone"}}
    labels = await gateway.labels_async()
    assert labels.values == {"product": ("Widget",), "version": ("2",), "lang": ("en", "zh")}
    assert labels.combinations == (("Widget", "2", "en"), ("", "", "zh"))
    state = await gateway.readiness_async()
    assert (state.refreshed_at, state.refresh_error) == (5.0, "the site is gone")
    fake.refresh = {"state": "waiting", "last": None}
    assert (await gateway.readiness_async()).refreshed_at == 0.0
    await gateway.aclose()


def test_two_answers_come_mixed_and_are_told_apart() -> None:
    parser, events = AnswerParser(), []
    chip = {"event": {"type": "source", "data": {"source": {"name": "[1] Ports"}}}}
    for chunk in (
        {"docduet": {"answer_id": "ans_1"}, "choices": [{"index": 1, "delta": {"role": "assistant"}}]},
        {"choices": [{"index": 0, "delta": {"content": "First."}}]},
        {"choices": [{"index": 1, "delta": {"content": "Second."}}]},
        {"choices": [{"index": 1, "delta": {}}], **chip},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop", "docduet": {"arm": "sft"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "docduet": {"arm": "rag"}}]},
    ):
        events += parser.feed(f"data: {json.dumps(chunk)}")
    texts = [(event.text, event.choice) for event in events if isinstance(event, Text)]
    assert texts == [("First.", 0), ("Second.", 1)]
    assert [event.choice for event in events if isinstance(event, SourceFound)] == [1]
    assert isinstance(events[0], Started)
    assert [(event.arm, event.choice) for event in events if isinstance(event, Done)] == [("sft", 1), ("rag", 0)]
    assert parser.end() == []
