"""2,000 mutated request bodies over all POST routes: never a 500, and every error in OpenAI's shape."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.home import Home
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.api.parameters import CHAT_IGNORED, CHAT_REFUSED, RESPONSES_REFUSED
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from tests.fakes import ScriptedEngine, ScriptedSupervisor
from tests.test_serving_gateway import PAGES

BODIES = 2000
TURNS = [{"role": "user", "content": "Which port?"}, {"role": "assistant", "content": "7860 [1]."}]
MESSAGES = [*TURNS, {"role": "user", "content": [{"type": "text", "text": "And on Windows?"}]}]
CHAT: dict[str, Any] = {
    "model": "base",
    "messages": MESSAGES,
    "stream": True,
    "stream_options": {"include_usage": True},
    "docduet": {"filters": {"lang": "en", "product": "", "version": ""}},
    "temperature": 0.5,
    "top_p": 1,
    "max_tokens": 10,
    "max_completion_tokens": 10,
    "stop": ["x", "y"],
    "seed": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "n": 1,
    "tools": [],
    "logprobs": False,
    "user": "u",
}
RESPONSE: dict[str, Any] = {
    "model": "base",
    "input": [{"type": "message", **message} for message in MESSAGES],
    "instructions": "Be brief.",
    "stream": False,
    "temperature": 0.5,
    "max_output_tokens": 10,
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {}}},
    "metadata": {"a": "b"},
    "docduet": {"filters": {"lang": "en"}},
}
SEARCH: dict[str, Any] = {"query": "port", "top_k": 3, "filters": {"lang": "en", "product": "", "version": ""}}
VALID = {"/v1/chat/completions": CHAT, "/v1/responses": RESPONSE, "/v1/search": SEARCH}
NAMES = [*CHAT_REFUSED, *RESPONSES_REFUSED, *CHAT_IGNORED, "chat_template", "priority", "\x00", "🙂"]
OTHER = {**CHAT, **SEARCH, "answer_id": "ans_1", "choice": 0, "rating": 1, "comment": "c", "title": "t", "id": "x"}

ODD: list[Any] = [None, True, False, 0, -1, 1e308, 10**30, -(2**63) - 1, float("nan"), float("inf"), "NaN", "\ud800"]
ODD += ["", " ", "rag", "compare", "\x00", "é🙂", "x" * 2000, [], [[]], {}, {"type": "text"}, [None], ["[1]"] * 5]
ODD += [{"": {}}, [{"role": "user"}], {"a": {"b": [{}]}}, ...]  # ... takes away


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside of ``value``."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, below in inside for place in places(below, (*at, key)))]


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at that path; ``...`` takes it away."""
    if not at:
        return {} if new is ... else new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1 and new is ...:
        del copy[at[0]]
    else:
        copy[at[0]] = changed(copy[at[0]], at[1:], new)
    return copy


def mutated(valid: Any, chance: Random) -> bytes:
    """A valid body with up to three things in it replaced, taken away or added, and at times its bytes damaged."""
    body = valid
    for _ in range(chance.randrange(4)):
        body = changed(body, chance.choice(places(body)), chance.choice(ODD))
    if isinstance(body, dict) and chance.random() < 0.5:
        body = {**body, chance.choice(NAMES): chance.choice(ODD[:-1])}
    raw = json.dumps(body, allow_nan=True).encode()
    if chance.random() < 0.1:
        at = chance.randrange(len(raw) + 1)
        raw = raw[:at] + chance.randbytes(chance.randrange(4)) + raw[at + chance.randrange(4) :]
    return raw


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    home = Home(tmp_path_factory.mktemp("fuzz"))
    build_index(PAGES, home, RagConfig())
    config = ServingConfig(engines=(EngineConfig(name="base", base_url="http://scripted"),))
    supervisor: Any = ScriptedSupervisor(ScriptedEngine("It is 7860 [1].", cut=20))
    return create_app(config, supervisor, LiveIndex(home, RagConfig()))


def post_routes(app: FastAPI) -> list[str]:
    """Every path that takes a POST, with its parameters filled in."""
    paths = [path for path, methods in app.openapi()["paths"].items() if "post" in methods]
    return [path.replace("{", "").replace("}", "") for path in paths]


def test_no_mutated_body_is_a_500(gateway: FastAPI) -> None:
    routes = post_routes(gateway)
    assert set(VALID) <= set(routes)
    seen: Counter[int] = Counter()
    loop = asyncio.new_event_loop()
    transport = httpx.ASGITransport(gateway, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    @settings(max_examples=BODIES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64))
    def attack(seed: int) -> None:
        chance = Random(seed)
        path = chance.choice(routes)
        raw = mutated(VALID.get(path, OTHER), chance)
        response = loop.run_until_complete(client.post(path, content=raw, headers={"Content-Type": "application/json"}))
        seen[response.status_code] += 1
        check(response)

    try:
        attack()
    finally:
        loop.run_until_complete(client.aclose())
        loop.close()
    assert sum(seen.values()) >= BODIES
    assert min(seen[200], seen[400]) > BODIES / 20, seen


def check(response: httpx.Response) -> None:
    """No server error, here or inside of a stream; errors in OpenAI's shape."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert set(response.json()) == {"error"}
        error = response.json()["error"]
        assert set(error) == {"message", "type", "code", "param"}
        assert error["message"]
        assert error["type"] == "invalid_request_error" or response.status_code != 400
    elif response.headers["content-type"].startswith("text/event-stream"):
        assert '"error":{' not in response.text.replace(" ", "")
