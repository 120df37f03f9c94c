"""The Responses API, whole and streamed, as the openai SDK sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response

from data.home import Home
from data.prompts import REFUSAL
from rag.build import build_index
from rag.config import RagConfig
from tests.client_gateway import scripted_gateway
from tests.fakes import ScriptedEngine
from tests.test_serving_gateway import PAGES, PORT_QUESTION

SAID = "<think>Hm [1].</think>🙂 Port 7860 [2]. Or [1, 9]."
CLEAN = "🙂 Port 7860 [1]. Or [2]."


Serve = Callable[..., str]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, ScriptedEngine]]:
    """A gateway with an engine, one without, and the engine."""
    home, engine = Home(tmp_path_factory.mktemp("responses")), ScriptedEngine()
    build_index(PAGES, home, RagConfig())
    with scripted_gateway(home, engine) as url, scripted_gateway(home) as quoting:
        yield url, quoting, engine


@pytest.fixture
def serve(gateways: tuple[str, str, ScriptedEngine]) -> Serve:
    """The gateway whose engine says ``text``, or, without one, the gateway that quotes."""
    url, quoting, engine = gateways
    engine.asked.clear()

    def saying(text: str | None = None, fail_after: int | None = None) -> str:
        engine.text, engine.fail_after = text or "", fail_after
        return quoting if text is None else url

    return saying


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none")


def post(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/responses", json={"model": "rag", "input": PORT_QUESTION, **body}, timeout=30)


def cited(response: Response) -> list[str]:
    """The text that each annotation of the last item points at."""
    message: Any = response.output[-1]
    part = message.content[0]
    return [part.text[note.start_index : note.end_index] for note in part.annotations]


def test_a_whole_response(serve: Serve) -> None:
    response = client(serve(SAID)).responses.create(
        model="rag", input=PORT_QUESTION, metadata={"ticket": "7"}, max_output_tokens=99, temperature=0.5
    )
    assert response.output_text == CLEAN
    assert (response.status, response.error, response.incomplete_details) == ("completed", None, None)
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert cited(response) == ["[1]", "[2]"]
    assert response.usage
    assert response.usage.input_tokens == 10
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert (response.metadata, response.max_output_tokens, response.temperature) == ({"ticket": "7"}, 99, 0.5)
    body = response.output[-1].model_extra["docduet"]  # type: ignore[index]
    assert [source["n"] for source in body["sources"]] == [1, 2]


def test_typed_events_in_their_order(serve: Serve) -> None:
    url = serve(SAID)
    stream = client(url).responses.create(model="rag", input=PORT_QUESTION, stream=True)
    events = list(stream)
    kinds = [event.type.removeprefix("response.") for event in events]
    squeezed = [kind for n, kind in enumerate(kinds) if n == 0 or kind != kinds[n - 1]]
    assert squeezed == [
        *("created", "in_progress"),
        *("output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done"),
        *("content_part.done", "output_item.done", "output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.annotation.added", "output_text.delta", "output_text.annotation.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == CLEAN
    items = [event.output_index for event in events if event.type == "response.output_item.added"]
    assert items == [0, 1]
    notes: list[Any] = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert [note.annotation_index for note in notes] == [0, 1]
    last = events[-1]
    assert last.type == "response.completed"
    whole = client(url).responses.create(model="rag", input=PORT_QUESTION)
    assert [item.model_dump(exclude={"id", "docduet"}) for item in last.response.output] == [
        item.model_dump(exclude={"id", "docduet"}) for item in whole.output
    ]


def test_the_bytes_are_named_events_without_done(serve: Serve) -> None:
    text = post(serve("Port 7860 [1]."), stream=True).text
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    assert all(name == f"event: {json.loads(data.removeprefix('data: '))['type']}" for name, data in blocks)
    assert "[DONE]" not in text


def test_the_sdks_own_accumulator_takes_it(serve: Serve) -> None:
    with client(serve(SAID)).responses.stream(model="rag", input=PORT_QUESTION) as stream:
        final = stream.until_done().get_final_response()
    assert final.output_text == CLEAN
    assert cited(final) == ["[1]", "[2]"]


def test_items_instructions_and_earlier_answers(serve: Serve, gateways: tuple[str, str, ScriptedEngine]) -> None:
    engine = gateways[2]
    api = client(serve("Port 7860 [1]."))
    first = api.responses.create(model="rag", input=PORT_QUESTION, instructions="Be brief.")
    told: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": PORT_QUESTION}]}]
    told += [item.model_dump(exclude={"docduet"}) for item in first.output]
    told += [{"type": "message", "role": "user", "content": "Which port does the gateway listen on?"}]
    api.responses.create(model="rag", input=told)
    assert "Be brief." in engine.asked[0][0]["content"]
    assert [turn["role"] for turn in engine.asked[-1]] == ["system", "user", "assistant", "user"]
    assert engine.asked[-1][2]["content"] == "Port 7860."


def test_a_response_goes_on_from_a_stored_one(serve: Serve, gateways: tuple[str, str, ScriptedEngine]) -> None:
    engine, url = gateways[2], serve("Port 7860 [1].")
    api = client(url)
    first = api.responses.create(model="rag", input=PORT_QUESTION)
    second = api.responses.create(model="rag", input="Which formats are read?", previous_response_id=first.id)
    third = api.responses.create(model="base", input="Thanks.", previous_response_id=second.id, instructions="Be kind.")
    said = [turn["content"] for turn in engine.asked[-1]]
    assert said[1:] == [PORT_QUESTION, "Port 7860 [1].", "Which formats are read?", "Port 7860 [1].", "Thanks."]
    assert (third.previous_response_id, said[0]) == (second.id, "Be kind.")
    lost = api.responses.create(model="base", input="Forget this.", store=False)
    with pytest.raises(openai.NotFoundError, match="not stored"):
        api.responses.create(model="base", input="What?", previous_response_id=lost.id)


def test_refusals_and_quotes(serve: Serve) -> None:
    refused = post(serve(), input="What is the capital of France?").json()["output"][0]
    assert refused["content"][0] == {
        "type": "output_text",
        "text": REFUSAL["en"],
        "annotations": [],
        "logprobs": [],
    }
    assert refused["docduet"]["refused"]
    quoted = post(serve()).json()["output"][0]
    assert quoted["docduet"]["degraded"] == "no engine"
    assert quoted["content"][0]["annotations"]


def test_a_failure_on_the_way_is_response_failed(serve: Serve) -> None:
    url = serve("From memory", fail_after=1)
    events = list(client(url).responses.create(model="base", input="Anything?", stream=True))
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert last.response.error
    assert "broke off" in last.response.error.message
    assert post(url, model="base").status_code == 503


BAD = [
    ({"model": "gpt-5"}, 404, "model_not_found", "model"),
    ({"model": "compare"}, 400, "unsupported_parameter", "model"),
    ({"input": ""}, 400, "empty_question", "input"),
    ({"input": []}, 400, "empty_question", "input"),
    ({"input": [{"type": "reasoning", "id": "x", "summary": []}]}, 400, "empty_question", "input"),
    ({"input": [{"type": "function_call_output", "output": "x"}]}, 400, "unsupported_parameter", "input"),
    ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, 400, "invalid_request", None),
    ({"tool_choice": {"type": "web_search"}}, 400, "unsupported_parameter", "tool_choice"),
    ({"tools": "web_search"}, 400, "invalid_request", "tools"),
    ({"previous_response_id": "resp_1"}, 404, "response_not_found", "previous_response_id"),
    ({"background": True}, 400, "unsupported_parameter", "background"),
    ({"text": {"format": {"type": "json_object"}}}, 400, "unsupported_parameter", "text.format"),
    ({"text": {"format": {"type": "json_schema"}}, "model": "base"}, 400, "invalid_request", "text.format"),
    ({"max_output_tokens": 0}, 400, "invalid_request", "max_output_tokens"),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), BAD)
def test_what_is_refused(serve: Serve, body: dict[str, Any], status: int, code: str, param: str | None) -> None:
    response = post(serve("x"), **body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), error
    assert param is None or error["param"] == param, error
