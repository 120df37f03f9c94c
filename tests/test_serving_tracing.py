"""Traces: the real SDK, in memory and over OTLP to a receiver on loopback that decodes protobuf."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.supervisor import Supervisor
from serving.ops import tracing
from tests.fake_engine import DONE, USAGE, FakeEngineServer, chunk
from tests.serve_process import in_thread

PAGES = [
    Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n"),
    Page("zh/port.md", "端口", "# 端口\n\n网关默认监听 7860 端口。\n", lang="zh"),
]
ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
REWRITTEN = (chunk("Which port does the gateway listen on by default?"), chunk(finish="stop"), USAGE, DONE)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    build_index(PAGES, home, RagConfig())
    return home


def gateway(home: Home, engine: FakeEngineServer, rag: RagConfig = RagConfig(), **config: Any) -> Any:  # noqa: B008
    serving = ServingConfig(engines=(EngineConfig(name="base", base_url=engine.url),), **config)
    return create_app(serving, Supervisor(serving.engines, home.logs), LiveIndex(home, rag))


async def ask(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """A follow-up, so that it is rewritten first."""
    said = [("user", "Which port does the gateway listen on?"), ("assistant", "7860."), ("user", "and by default?")]
    body = {"model": "rag", "messages": [{"role": role, "content": text} for role, text in said], **more}
    answer = await client.post("/v1/chat/completions", json=body, headers={"traceparent": ABOVE})
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def spans() -> Iterator[Any]:
    """An exporter that keeps every span."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    with tracing.tracing_to(SimpleSpanProcessor(kept)):
        yield kept


def by_name(spans: Any) -> dict[str, Any]:
    return {span.name: span for span in spans.get_finished_spans()}


class SlowReranker:
    """Reads nothing, and takes its time."""

    name = "slow"

    def scores(self, query: str, texts: list[str]) -> list[float]:
        import time

        time.sleep(0.03)
        return [1.0 - n / 100 for n in range(len(texts))]


async def test_the_spans_of_a_request(home: Home, spans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.retriever.load_reranker", lambda _: SlowReranker())
    reranking = RagConfig(reranker="slow")
    async with FakeEngineServer(script=REWRITTEN) as engine, in_thread(gateway(home, engine, reranking)) as client:
        answer = await ask(client, temperature=0.5, max_tokens=77)
        metrics = (await client.get("/metrics")).text
    found = by_name(spans)
    server, retrieve, rerank, rewrite = (
        found[name] for name in ("POST /v1/chat/completions", "retrieve", "rerank", "rewrite")
    )
    assert server.context.trace_id == TRACE
    assert server.parent.span_id == 0xB7AD6B7169203331
    assert dict(server.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
    }
    assert retrieve.parent.span_id == rewrite.parent.span_id == server.context.span_id
    assert rerank.parent.span_id == retrieve.context.span_id
    assert rerank.end_time - rerank.start_time >= 30e6
    asked = [span for span in spans.get_finished_spans() if span.name == "chat served"]
    assert [span.parent.span_id for span in asked] == [rewrite.context.span_id, server.context.span_id]
    told = asked[-1].attributes
    assert (told["gen_ai.operation.name"], told["gen_ai.request.model"]) == ("chat", "served")
    assert (told["gen_ai.request.temperature"], told["gen_ai.request.max_tokens"]) == (0.5, 77)
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (3, 2)
    assert tuple(told["gen_ai.response.finish_reasons"]) == ("stop",)
    assert told["server.address"] == "127.0.0.1"
    for span, headers in zip(asked, engine.headers, strict=True):
        assert headers["traceparent"] == f"00-{TRACE:032x}-{span.context.span_id:016x}-01"
    timings = answer["choices"][0]["docduet"]["timings_ms"]
    assert timings["rerank"] >= 30
    assert timings["retrieve"] >= 0
    assert 'docduet_seconds_count{arm="rag",stage="rerank"} 1.0' in metrics
    assert not [a for span in spans.get_finished_spans() for a in span.attributes.values() if "port" in str(a).lower()]


async def test_failures_are_marked_and_say_nothing(home: Home, spans: Any) -> None:
    async with FakeEngineServer(status=400) as engine, in_thread(gateway(home, engine)) as client:
        assert (await ask(client, model="base"))["error"]["code"] == "engine_unavailable"
    found = by_name(spans)
    assert found["chat served"].attributes["error.type"] == "EngineError"
    assert found["POST /v1/chat/completions"].attributes["error.type"] == "503"
    assert not [event for span in found.values() for event in span.events]


async def test_otlp_over_http(home: Home) -> None:
    """What a collector receives: protobuf, with the service's name; the last spans before the end too."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    received = []

    async def take(request: web.Request) -> web.Response:
        import gzip

        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        received.append(ExportTraceServiceRequest.FromString(body))
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with (
            FakeEngineServer(script=REWRITTEN) as engine,
            in_thread(gateway(home, engine, otel=collector)) as client,
        ):
            await ask(client)
    finally:
        await runner.cleanup()
    batches = [batch for message in received for batch in message.resource_spans]
    attributes = {a.key: a.value.string_value for batch in batches for a in batch.resource.attributes}
    assert attributes["service.name"] == "docduet"
    names = {span.name for batch in batches for scope in batch.scope_spans for span in scope.spans}
    assert {"POST /v1/chat/completions", "rewrite", "retrieve", "chat served"} <= names


def test_nothing_is_imported_where_traces_are_off() -> None:
    """The gateway's own module, and a span: no OpenTelemetry SDK."""
    code = (
        "import sys, serving.ops.tracing as t\n"
        "with t.exporting(''), t.span('x'), t.server_span('GET', {}), t.model_call('', {}) as call:\n"
        "    call.heard('stop', {})\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')], 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
