"""Every parameter of chat completions is used, ignored or refused as the tables say; nothing else reaches an engine."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from data.home import Home
from data.prompts import REFUSAL
from rag.build import build_index
from rag.config import RagConfig
from serving.api.parameters import CHAT_IGNORED, CHAT_REFUSED, RESPONSES_IGNORED, RESPONSES_REFUSED
from serving.api.responses import ResponseRequest
from serving.api.schemas import ChatRequest
from serving.engines.engine import SAMPLING
from tests.client_gateway import engine_in_thread, handbook_gateway, says
from tests.fake_engine import DONE, USAGE, FakeEngineServer, chunk
from tests.test_serving_gateway import PAGES, PORT_QUESTION


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineServer]:
    with engine_in_thread(FakeEngineServer()) as engine:
        yield engine


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, engine: FakeEngineServer) -> Iterator[str]:
    home = Home(tmp_path_factory.mktemp("parameters"))
    build_index(PAGES, home, RagConfig())
    with handbook_gateway(home, engine) as url:
        yield url


def ask(url: str, **more: Any) -> httpx.Response:
    body = {"model": "rag", "messages": [{"role": "user", "content": PORT_QUESTION}], **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)


def content(response: httpx.Response) -> str:
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def test_every_parameter_of_openais_is_in_one_table() -> None:
    for theirs, ours, ignored, refused in (
        (CompletionCreateParamsBase, ChatRequest, CHAT_IGNORED, CHAT_REFUSED),
        (ResponseCreateParamsBase, ResponseRequest, RESPONSES_IGNORED, RESPONSES_REFUSED),
    ):
        known = set(typing.get_type_hints(theirs)) | {"stream"}
        used = set(ours.model_fields) - {"docduet"}
        assert used | ignored | set(refused) == known
        assert len(used) + len(ignored) + len(refused) == len(known)


def test_what_is_used_reaches_the_engine_and_nothing_else_does(url: str, engine: FakeEngineServer) -> None:
    engine.script = says("From memory.")
    sent = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2}
    sent |= {"max_completion_tokens": 33, "stop": ["END"]}
    sent["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    stray: dict[str, Any] = dict.fromkeys(CHAT_IGNORED, "x") | {"chat_template": "evil", "vllm_xargs": {"a": 1}}
    stray |= {
        "chat_template_kwargs": {"a": 1},
        "priority": -1,
        "guided_json": {},
        "extra_body": {"a": 1},
    }
    assert ask(url, model="base", **sent, **stray).status_code == 200
    got = engine.requests[-1]
    sent["max_tokens"] = sent.pop("max_completion_tokens")
    ours = {"model": "served", "stream": True, "stream_options": {"include_usage": True}, "messages": got["messages"]}
    assert got == sent | ours
    assert set(got) - set(ours) <= SAMPLING


@pytest.mark.parametrize("name", CHAT_REFUSED)
def test_what_is_refused_is_named(url: str, name: str) -> None:
    value = 5 if name == "top_logprobs" else {"type": "x"}
    response = ask(url, **{name: value})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", name)
    assert error["message"].startswith(f"{name} is not supported: ")


@pytest.mark.parametrize(
    ("model", "n", "status"),
    [("rag", 1, 200), ("rag", 2, 400), ("auto", 2, 200), ("auto", 3, 400), ("auto", 0, 400), ("auto", 1, 200)],
)
def test_no_more_choices_than_there_are(url: str, engine: FakeEngineServer, model: str, n: int, status: int) -> None:
    engine.script = says("Port 7860 [1].")
    response = ask(url, model=model, n=n)
    assert response.status_code == status
    if status == 400:
        error = response.json()["error"]
        assert (error["code"], error["param"]) == ("unsupported_parameter", "n")


def test_what_the_engine_will_not_do_is_the_clients_to_mend(url: str, engine: FakeEngineServer) -> None:
    asked = {"model": "base", "response_format": {"type": "json_object"}}
    complaint = b'data: {"error": {"message": "no such grammar", "type": "BadRequestError", "code": 400}}\n\n'
    try:
        engine.status, engine.complaint = 400, "no such grammar"
        whole = ask(url, **asked)
        unasked = ask(url, model="base")
    finally:
        engine.status, engine.complaint = 200, ""
    engine.script = (complaint, DONE)  # as vLLM says it once a stream has begun
    later = ask(url, **asked)
    for response in (whole, later):
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, "engine_refused"), error
        assert "no such grammar" in error["message"]
    assert unasked.status_code == 503  # the client had no say in it


def test_responses_name_their_own_fields_in_errors_of_the_engine(url: str, engine: FakeEngineServer) -> None:
    try:
        engine.status, engine.complaint = 400, "This model's maximum context length is 10 tokens"
        response = httpx.post(f"{url}/v1/responses", json={"model": "base", "input": "x"}, timeout=30)
    finally:
        engine.status, engine.complaint = 200, ""
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "input")


def test_usage_counts_what_was_spent_on_rewriting(url: str, engine: FakeEngineServer) -> None:
    engine.script = says("Port 7860 [1].")
    before = len(engine.requests)
    said = [{"role": "user", "content": PORT_QUESTION}, {"role": "assistant", "content": "7860."}]
    response = ask(url, messages=[*said, {"role": "user", "content": "and how do I change that port?"}])
    assert len(engine.requests) - before == 2
    assert response.json()["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}


@pytest.mark.parametrize(
    "more",
    [
        {"n": 1, "tools": [], "tool_choice": "auto", "logprobs": False, "modalities": ["text"], "logit_bias": {}},
        {"response_format": {"type": "text"}, "functions": [], "top_logprobs": 0, "audio": None, "stream": None},
        {"stop": None, "max_tokens": None, "stream_options": None, "messages": [{"role": "user", "content": "port?"}]},
    ],
)
def test_what_asks_for_nothing_passes(url: str, engine: FakeEngineServer, more: dict[str, Any]) -> None:
    engine.script = says("Port 7860 [1].")
    assert ask(url, **more).status_code == 200


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": 3}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"model": "base", "response_format": {"type": "json_schema"}}, "response_format"),
        ({"messages": [{"role": "user", "content": "half \ud83d"}]}, None),
    ],
)
def test_limits(url: str, more: dict[str, Any], param: str | None) -> None:
    body = {"model": "rag", "messages": [{"role": "user", "content": "port?"}], **more}
    response = httpx.post(
        f"{url}/v1/chat/completions", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param, response.text


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\uD83D", "\ud83d".encode("utf-8", "surrogatepass")])
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_half_a_character_is_refused_however_it_is_written(url: str, path: str, half: bytes) -> None:
    asked = (
        b'"messages": [{"role": "user", "content": "port? %b"}]' if path.startswith("chat") else b'"input": "port? %b"'
    )
    body = b'{"model": "rag", "stream": true, ' + asked % half + b"}"
    response = httpx.post(f"{url}/v1/{path}", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")
    assert "half of a character" in response.json()["error"]["message"]


def test_json_is_for_voices_that_do_not_cite(url: str, engine: FakeEngineServer) -> None:
    engine.script = says('{"port": 7860}')
    asked = {"response_format": {"type": "json_object"}}
    assert content(ask(url, model="base", **asked)) == '{"port": 7860}'
    error = ask(url, **asked).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "response_format")


def test_stop_ends_answers_and_quotes(url: str, engine: FakeEngineServer) -> None:
    engine.script = says("It is port 7860 [1]. More [2].")
    for stop, said, sources in (("More", "It is port 7860 [1]. ", [1]), ("1]", "It is port 7860 ", [])):
        choice = ask(url, stop=stop).json()["choices"][0]
        assert choice["message"]["content"] == said
        assert choice["finish_reason"] == "stop"
        assert [source["n"] for source in choice["docduet"]["sources"]] == sources
    assert "stop" not in engine.requests[-1]
    engine.script = (None,)
    quoted = ask(url, stop=["7860"]).json()
    assert quoted["choices"][0]["docduet"]["degraded"]
    assert quoted["choices"][0]["message"]["content"] == "> The gateway listens on port "


def test_usage_is_the_engines_in_both_ways_and_null_before_the_end(url: str, engine: FakeEngineServer) -> None:
    engine.script = says("Port 7860 [1].")
    expected = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert ask(url).json()["usage"] == expected
    lines = ask(url, stream=True, stream_options={"include_usage": True}).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line and "[DONE]" not in line]
    assert [chunk["usage"] for chunk in chunks] == [None] * (len(chunks) - 1) + [expected]
    assert chunks[-1]["choices"] == []
    assert "usage" not in ask(url, stream=True).text
    engine.script = says(REFUSAL["en"])
    refused = ask(url).json()
    assert refused["choices"][0]["docduet"]["refused"]
    assert refused["usage"] == expected
    engine.script = (chunk(finish="stop"), USAGE, DONE)
    assert ask(url).json()["usage"] == expected  # it said nothing, and read the prompt all the same


TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("more", "unused"),
    [
        ({"tools": [TOOL]}, ["tools"]),
        ({"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True}, ["tools"]),
        ({"tools": [TOOL], "functions": [TOOL["function"]], "function_call": "auto"}, ["functions", "tools"]),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}, ["tools"]),
        ({"tools": []}, None),
    ],
)
def test_tools_are_left_unused_and_the_response_says_so(
    url: str, engine: FakeEngineServer, more: dict[str, Any], unused: list[str] | None
) -> None:
    engine.script = says("Port 7860 [1].")
    whole = ask(url, **more)
    assert (whole.status_code, content(whole)) == (200, "Port 7860 [1].")
    assert whole.json()["docduet"].get("unused") == unused
    first = ask(url, stream=True, **more).text.split("\n\n")[0]
    assert json.loads(first.removeprefix("data: "))["docduet"].get("unused") == unused
    assert not {"tools", "functions", "tool_choice", "function_call"} & set(engine.requests[-1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "search"}}),
        ("tool_choice", {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}),
        ("tool_choice", {"type": "allowed_tools", "allowed_tools": "x"}),
        ("function_call", {"name": "search"}),
    ],
)
def test_a_call_cannot_be_demanded(url: str, name: str, value: Any) -> None:
    response = ask(url, tools=[TOOL], **{name: value})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", name)
    assert "call nothing" in error["message"]


def test_responses_leave_tools_unused_too(url: str, engine: FakeEngineServer) -> None:
    engine.script = says("Port 7860 [1].")
    choice = {"type": "allowed_tools", "mode": "auto", "tools": []}
    body = {"model": "rag", "input": PORT_QUESTION, "tools": [{"type": "web_search"}], "tool_choice": choice}
    response = httpx.post(f"{url}/v1/responses", json=body, timeout=30)
    assert (response.status_code, response.json()["docduet"]["unused"]) == (200, ["tools"])
    assert (response.json()["tools"], response.json()["tool_choice"]) == ([], "none")


def test_thinking_has_both_names(url: str, engine: FakeEngineServer) -> None:
    engine.script = (chunk(reasoning="Hm."), *says("Port [1]."))
    message = ask(url).json()["choices"][0]["message"]
    assert (message["content"], message["reasoning"], message["reasoning_content"]) == ("Port [1].", "Hm.", "Hm.")


def test_head_options_and_paths_that_are_not_there(url: str) -> None:
    head = httpx.head(f"{url}/v1/models")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    for path, status, said in (
        ("/v1/completions", 404, "/v1/chat/completions"),
        ("/v1/embeddings", 404, "/v1/search"),
        ("/v1/nothing/here", 404, "openapi.json"),
        ("/v1/models", 405, "GET"),
    ):
        response = httpx.post(f"{url}{path}", json={})
        assert response.status_code == status
        assert said in response.json()["error"]["message"]
    assert "access-control-allow-origin" not in httpx.get(f"{url}/v1/models", headers={"Origin": "https://a"}).headers


def test_other_origins_may_call_where_they_are_named(tmp_path: Any) -> None:
    from tests.client_gateway import scripted_gateway

    with scripted_gateway(Home(tmp_path), cors_origins=("https://help.example",)) as url:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for origin, allowed in (("https://help.example", "https://help.example"), ("https://evil.example", None)):
            answer = httpx.options(f"{url}/v1/chat/completions", headers={"Origin": origin, **asked})
            assert answer.headers.get("access-control-allow-origin") == allowed
            error = httpx.post(f"{url}/v1/nothing", headers={"Origin": origin}, json={})
            assert error.headers.get("access-control-allow-origin") == allowed
