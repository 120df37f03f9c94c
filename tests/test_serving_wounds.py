"""Wounds that others' gateways have had, and the tests that would show ours; those without a home are in this file.

A model server's extra keys passed through (CVE-2025-64496), thinking in the answer, failures that nothing logs.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.supervisor import Supervisor
from serving.server import in_background
from tests.client_gateway import engine_in_thread, says
from tests.fake_engine import DONE, USAGE, FakeEngineServer, chunk
from tests.test_serving_gateway import PAGES, PORT_QUESTION

HERE = Path(__file__).parent
WOUNDS = {
    "a redirect is not checked again": "test_data_web_guard.py::test_every_redirect_is_checked",
    "an address with two readings": "test_data_web_guard.py::test_addresses_that_have_two_readings_or_none",
    "a private address in another spelling, NAT64": "test_data_web_guard.py::test_private_addresses_in_every_spelling",
    "a name that changes its address": "test_data_web_guard.py::test_a_name_that_changes_its_mind_is_asked_once",
    "HTML stored in documents": "test_serving_pageview.py::test_hostile_pages_are_harmless",
    "HTML in answers and titles": "e2e/test_hostile.py::test_nothing_runs_nothing_leaves_and_the_layout_holds",
    "images that load by themselves": "test_ui_markdown.py::test_an_image_is_its_words",
    "links made of markers": "test_ui_markdown.py::test_a_marker_never_leads_elsewhere",
    "keys of a model server passed through": "test_serving_wounds.py::test_an_engines_own_keys_never_reach_the_client",
    "invented citation numbers": "test_data_citations.py::test_every_marker_that_leaves_is_a_citation",
    "sources under a refusal": "test_serving_gateway.py::test_the_models_own_refusal_carries_no_sources",
    "a failed build destroys the index": "test_rag_disk_full.py::test_a_full_disk",
    "thinking in the answer": "test_serving_wounds.py::test_thinking_is_never_the_answer",
    "a failure that nothing logs": "test_serving_wounds.py::test_a_failed_stream_is_told_and_logged",
    "somebody else's conversation by its id": "test_serving_conversations.py::test_nobody_reaches_anothers",
    "citations lost on reload": "test_serving_conversations.py::test_a_source_outlives_the_index",
    "a second header form": "test_serving_keys.py::test_both_header_forms_are_equal_and_two_keys_are_refused",
    "SQL in the key check": "test_serving_keys.py::test_what_is_no_key_is_refused",
    "closed streams that work on": "test_serving_gateway.py::test_a_client_that_leaves_stops_the_engine",
}


@pytest.mark.parametrize("wound", WOUNDS)
def test_the_test_is_there(wound: str) -> None:
    file, name = WOUNDS[wound].split("::")
    assert re.search(rf"^(async )?def {name}", (HERE / file).read_text(encoding="utf-8"), re.MULTILINE), WOUNDS[wound]


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[FakeEngineServer, FakeEngineServer]]:
    """One whose server is told that the model shall not think, and one that is told nothing."""
    with engine_in_thread(FakeEngineServer()) as told, engine_in_thread(FakeEngineServer()) as free:
        yield told, free


@pytest.fixture(scope="module")
def urls(
    tmp_path_factory: pytest.TempPathFactory, engines: tuple[FakeEngineServer, FakeEngineServer]
) -> Iterator[list[str]]:
    home = Home(tmp_path_factory.mktemp("wounds"))
    build_index(PAGES, home, RagConfig())
    bodies: list[dict[str, Any]] = [{"chat_template_kwargs": {"enable_thinking": False}}, {}]
    live = LiveIndex(home, RagConfig())
    apps = []
    for engine, body in zip(engines, bodies, strict=True):
        config = ServingConfig(engines=(EngineConfig(name="base", base_url=engine.url, extra_body=body),))
        apps.append(create_app(config, Supervisor(config.engines, home.logs), live))
    with in_background(apps[0]) as told, in_background(apps[1]) as free:
        yield [told, free]


def ask(url: str, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    messages = [{"role": "user", "content": PORT_QUESTION}]
    body = {"model": "rag", "input": PORT_QUESTION} | ({"messages": messages} if "chat" in path else {}) | more
    return httpx.post(f"{url}{path}", json=body, timeout=30)


def test_an_engines_own_keys_never_reach_the_client(urls: list[str], engines: tuple[Any, Any]) -> None:
    evil = {"event": {"type": "execute", "data": {"code": "pwned()"}}, "docduet": {"pwned": 1}, "sources": ["pwned"]}
    choice = {"index": 0, "delta": {"content": "Port [1].", "annotations": ["pwned"], **evil}, "finish_reason": None}
    line = b"data: " + json.dumps({"choices": [choice], "id": "pwned", "model": "pwned", **evil}).encode() + b"\n\n"
    tools = chunk(tool_calls=[{"index": 0, "function": {"name": "pwned", "arguments": "{}"}}], role="pwned")
    engines[1].script = (line, tools, chunk(finish="stop", refusal="pwned"), USAGE, DONE)
    for model in ("rag", "base"):
        for stream in (True, False):
            for path in ("/v1/chat/completions", "/v1/responses"):
                response = ask(urls[1], path, model=model, stream=stream)
                assert response.status_code == 200
                assert "Port" in response.text
                assert "pwned" not in response.text


THINKING = [
    ((*says("<think>Secret [1].</think>Port 7860 [1]."),), "Port 7860 [1].", "Secret [1]."),
    ((chunk(reasoning="Secret."), *says("Port 7860 [1].")), "Port 7860 [1].", "Secret."),
    ((chunk(reasoning_content="Secret."), *says("Port 7860 [1].")), "Port 7860 [1].", "Secret."),
]


@pytest.mark.parametrize(("script", "content", "reasoning"), THINKING)
@pytest.mark.parametrize("which", [0, 1])
def test_thinking_is_never_the_answer(
    urls: list[str], engines: tuple[Any, Any], which: int, script: tuple[bytes, ...], content: str, reasoning: str
) -> None:
    engines[which].script = script
    message = ask(urls[which]).json()["choices"][0]["message"]
    assert (message["content"], message["reasoning"]) == (content, reasoning)


def test_an_answer_in_the_place_of_thinking_is_the_answer_only_where_none_was_asked_for(
    urls: list[str], engines: tuple[Any, Any]
) -> None:
    """What some servers make of a Qwen3 that is told not to think: content null, and the answer as reasoning."""
    for engine in engines:
        pieces = [chunk(content=None, reasoning=piece) for piece in ("Port ", "7860 ", "[1].")]
        engine.script = (*pieces, chunk(finish="stop"), USAGE, DONE)
    message = ask(urls[0]).json()["choices"][0]["message"]
    assert message["content"] == "Port 7860 [1]."
    assert "reasoning" not in message
    thought = ask(urls[1]).json()["choices"][0]
    assert thought["message"]["reasoning"] == "Port 7860 [1]."
    assert thought["docduet"]["degraded"] == "engine said nothing"
    assert ask(urls[1], model="base").json()["choices"][0]["message"]["content"] == ""


def test_half_a_character_of_an_engine_breaks_nothing(urls: list[str], engines: tuple[Any, Any]) -> None:
    engines[1].script = (chunk("Half \ud83d and [1]."), chunk(finish="stop"), USAGE, DONE)
    for stream in (True, False):
        text = ask(urls[1], stream=stream).text
        assert "Half ? and" in text
        assert '"error"' not in text


@pytest.mark.parametrize("script", [(chunk("Half"), None), (chunk("Half"), b"data: {nonsense\n\n"), (chunk("Half"),)])
def test_a_failed_stream_is_told_and_logged(
    urls: list[str], engines: tuple[Any, Any], script: tuple[Any, ...], caplog: pytest.LogCaptureFixture
) -> None:
    engines[1].script = script
    for path, ending in (("/v1/chat/completions", "data: [DONE]"), ("/v1/responses", '"status":"failed"')):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            text = ask(urls[1], path, model="base", stream=True).text
        assert ending in text.strip().splitlines()[-1]
        assert "engine 'base'" in text
        assert any("broke off" in record.message for record in caplog.records)
    quoted = ask(urls[1], stream=True).text
    assert "engine failed" in quoted
    assert "The gateway listens on port 7860" in quoted
