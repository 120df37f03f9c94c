"""/metrics after real requests, each with its outcome, and the labels that there can be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.supervisor import Supervisor
from tests.fake_engine import GOOD, USAGE, FakeEngineServer, chunk
from tests.serve_process import in_thread, until

QUESTION = "Which port does the gateway listen on by default?"


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngineServer]:
    async with FakeEngineServer() as engine:
        yield engine


@pytest.fixture
async def client(tmp_path: Path, engine: FakeEngineServer) -> AsyncIterator[httpx.AsyncClient]:
    home = Home(tmp_path)
    build_index([Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860.\n")], home, RagConfig())
    config = ServingConfig(engines=(EngineConfig(name="base", base_url=engine.url),))
    app = create_app(config, Supervisor(config.engines, home.logs), LiveIndex(home, RagConfig()))
    async with in_thread(app) as client:
        yield client


def body(question: str, model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": question}], **more}


async def scraped(client: httpx.AsyncClient) -> dict[str, float]:
    """Sample with its labels -> value."""
    text = (await client.get("/metrics")).text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[" ".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))])] = sample.value
    return found


async def test_every_outcome_is_counted_by_arm(client: httpx.AsyncClient, engine: FakeEngineServer) -> None:
    path = "/v1/chat/completions"
    await client.post(path, json=body(QUESTION, "rag"))
    await client.post(path, json=body("What is the capital of France?", "rag"))
    engine.script = (chunk("x"), None)
    await client.post(path, json=body(QUESTION, "rag"))
    await client.post(path, json=body(QUESTION, "base"))
    await client.post(path, json=body(QUESTION, "no-such-voice"))
    engine.script = (chunk("x"), 60.0)
    async with client.stream("POST", path, json=body(QUESTION, "base", stream=True)) as response:
        async for _ in response.aiter_lines():
            break
        assert (await scraped(client))["docduet_streams arm=base"] == 1

    async def cancelled() -> bool:
        return "docduet_cancelled_total arm=base" in await scraped(client)

    await until(cancelled)
    found = await scraped(client)
    assert found["docduet_answers_total arm=rag outcome=answered"] == 1
    assert found["docduet_answers_total arm=rag outcome=refused"] == 1
    assert found["docduet_answers_total arm=rag outcome=degraded"] == 1
    assert found["docduet_errors_total arm=base code=engine_unavailable"] == 1
    assert found["docduet_cancelled_total arm=base"] == 1
    assert found["docduet_tokens_total arm=rag kind=prompt"] > 3  # and, estimated, those of the answer that was cut off
    assert found["docduet_tokens_total arm=rag kind=completion"] >= 2
    assert found["docduet_seconds_count arm=rag stage=first_token"] == 3
    assert found["docduet_seconds_bucket arm=rag le=120.0 stage=retrieve"] == 3
    assert found["docduet_http_requests_total route=/v1/chat/completions status=404"] == 1
    assert found["docduet_http_requests_total route=/v1/chat/completions status=200"] == 4
    assert found["docduet_engine_ready engine=base"] == 1
    assert found["process_resident_memory_bytes"] > 1e6
    assert "docduet_streams arm=base" not in found


async def test_what_nobody_foresaw_is_a_500_with_its_id(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr("serving.api.chat.turn_of", broken)
    response = await client.post("/v1/chat/completions", json=body(QUESTION, "rag"), headers={"X-Request-ID": "r-1"})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert response.headers["X-Request-ID"] == "r-1"
    assert (await scraped(client))["docduet_http_requests_total route=/v1/chat/completions status=500"] == 1


async def test_labels_are_bounded(client: httpx.AsyncClient, engine: FakeEngineServer) -> None:
    """Whatever clients send, it becomes no label."""
    engine.script = (*GOOD[:-2], USAGE)
    for n in range(20):
        await client.get(f"/made/up/{n}")
        await client.get(f"/v1/models/{n}")
        await client.post("/v1/chat/completions", json=body("x", f"voice-{n}"))
        await client.get(f"/pages/{n:016x}")
    found = [name for name in await scraped(client) if name.startswith("docduet_http_requests_total")]
    routes = {name.split()[1] for name in found}
    assert routes == {
        "route=unmatched",
        "route=/v1/models/{name}",
        "route=/v1/chat/completions",
        "route=/pages/{page_id}",
    }
