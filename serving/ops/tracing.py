"""OpenTelemetry traces: one span a request, and below it what was spent on rewriting, searching and asking engines.

Off, and not even imported, unless an address to send them to is configured: `[serving] otel`, or the environment's
OTEL_EXPORTER_OTLP_ENDPOINT. Needs the `otel` extra. Names and attributes are those of OpenTelemetry's semantic
conventions for HTTP and for generative AI; no text of questions, answers or pages is among them.

    with tracing.exporting(config.otel):          # the gateway's lifetime
        with tracing.span("retrieve"): ...        # nothing at all where traces are off
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from data.errors import ConfigError

_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_REQUEST = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
}

FLUSH_S = 3.0
"""Stopping waits so long at most for a collector to take the last spans."""

_tracer: Any = None
"""None where traces are off."""


@contextmanager
def exporting(endpoint: str) -> Iterator[None]:
    """Send traces to an OTLP collector meanwhile; what is left goes out at the end. Raises ConfigError."""
    if not endpoint and not any(os.environ.get(name) for name in _VARIABLES):
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError("traces need OpenTelemetry: `pip install 'docduet[otel]'`, or unset [serving] otel") from None
    where = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None  # None: the environment says it
    with tracing_to(BatchSpanProcessor(OTLPSpanExporter(endpoint=where))):
        yield


@contextmanager
def tracing_to(processor: Any) -> Iterator[None]:
    """Hand every span to ``processor`` (an opentelemetry SpanProcessor) meanwhile."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    global _tracer
    name = os.environ.get("OTEL_SERVICE_NAME") or "docduet"
    provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    before, _tracer = _tracer, provider.get_tracer("docduet")
    try:
        yield
    finally:
        _tracer = before
        flush = threading.Thread(target=provider.shutdown, daemon=True)
        flush.start()
        flush.join(FLUSH_S)


class _Off:
    """Stands for a span where traces are off."""

    def ended(self, method: str, route: str, status: int) -> None: ...


class _ServerSpan:
    def __init__(self, span: Any) -> None:
        self._span = span

    def ended(self, method: str, route: str, status: int) -> None:
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            _failed(self._span, str(status))


@contextmanager
def server_span(method: str, headers: Mapping[str, str]) -> Iterator[_ServerSpan | _Off]:
    """The span of one HTTP request, below the one that its `traceparent` header names."""
    if _tracer is None:
        yield _Off()
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    above = TraceContextTextMapPropagator().extract(dict(headers))
    with _tracer.start_as_current_span(
        method,
        context=above,
        kind=SpanKind.SERVER,
        attributes={"http.request.method": method},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield _ServerSpan(span)


@contextmanager
def span(name: str) -> Iterator[None]:
    """A stage of ours, below the current span. Not for use around a `yield` of an async generator."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as began:
        try:
            yield
        except Exception as error:
            _failed(began, type(error).__name__)
            raise


def stage(name: str, seconds: float) -> None:
    """A stage below the current span that has just ended, after so many seconds."""
    if _tracer is not None:
        now = time.time_ns()
        _tracer.start_span(name, start_time=now - int(seconds * 1e9)).end(end_time=now)


class ModelCall:
    """The span of one call of an engine. ``headers``: what tells the engine which span it works for."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self._span: Any = None
        self._begun = 0.0

    def begin(self, base_url: str, body: Mapping[str, Any]) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        where, model = urlsplit(base_url), str(body.get("model", ""))
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",  # the protocol that is spoken; the server can be any
            "gen_ai.request.model": model,
            "server.address": where.hostname or "",
            "server.port": where.port or (443 if where.scheme == "https" else 80),
        }
        attributes |= {name: body[key] for key, name in _REQUEST.items() if body.get(key) is not None}
        self._span = _tracer.start_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes)
        self._begun = time.perf_counter()
        TraceContextTextMapPropagator().inject(self.headers, set_span_in_context(self._span))

    def heard(self, finish_reason: str | None, usage: Mapping[str, int] | None) -> None:
        """A piece of the answer."""
        if self._span is None:
            return
        if self._begun:
            waited = time.perf_counter() - self._begun
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
            self._begun = 0.0
        if finish_reason:
            self._span.set_attribute("gen_ai.response.finish_reasons", [finish_reason])
        for ours, theirs in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")):
            if usage and ours in usage:
                self._span.set_attribute(f"gen_ai.usage.{theirs}", usage[ours])

    def end(self, error: Exception | None = None) -> None:
        if self._span is not None:
            if error:
                _failed(self._span, type(error).__name__)
            self._span.end()


@contextmanager
def model_call(base_url: str, body: Mapping[str, Any]) -> Iterator[ModelCall]:
    """Around one call of an engine, `yield`s of its answer included: the span is nobody's current one."""
    call, failure = ModelCall(), None
    if _tracer is not None:
        call.begin(base_url, body)
    try:
        yield call
    except Exception as error:
        failure = error
        raise
    finally:
        call.end(failure)


def _failed(span: Any, kind: str) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
