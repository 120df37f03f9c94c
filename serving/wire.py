"""Arm events in OpenAI's shapes: chat completion chunks (SSE) and whole chat completions.

Citations leave as ``url_citation`` annotations (offsets of the marker in the whole content, characters, end exclusive),
streamed in ``delta.annotations``, and once per source as the ``event: source`` chunk that Open WebUI shows as a chip.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from serving.events import Cited, Event, Finished, Reasoning, Started, Text
from serving.sources import Source

DONE = b"data: [DONE]\n\n"


def sse(body: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


def source_body(source: Source, public_url: str) -> dict[str, Any]:
    """A source as it stands in ``choices[i].docduet.sources``."""
    return {
        "n": source.n,
        "page_id": source.page_id,
        "url": source.url,
        "href": source.href(public_url),
        "title": source.title,
        "heading_path": list(source.heading_path),
        "quote": source.quote,
        "marks": [list(mark) for mark in source.marks],
        "product": source.product,
        "version": source.version,
        "lang": source.lang,
        "score": source.score,
    }


@dataclass
class ChoiceWriter:
    """Writes one answer's events. ``public_url``: the gateway's address as the client sees it."""

    model: str
    public_url: str
    include_usage: bool = False
    answer_id: str = field(default_factory=lambda: f"ans_{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))
    content: str = ""
    reasoning: str = ""
    annotations: list[dict[str, Any]] = field(default_factory=list)
    top: dict[str, Any] = field(default_factory=dict)
    finished: Finished | None = None

    def chunks(self, event: Event) -> list[dict[str, Any]]:
        """The chunks that ``event`` becomes."""
        match event:
            case Started():
                self._start(event)
                return [self._chunk({"role": "assistant", "content": ""}) | {"docduet": self.top}]
            case Text(text):
                self.content += text
                return [self._chunk({"content": text})]
            case Reasoning(text):
                self.reasoning += text
                return [self._chunk({"reasoning": text})]
            case Cited():
                chip = [self._chunk({}) | {"event": self._open_webui(event.source)}] if event.first else []
                return [*chip, self._chunk({"content": event.marker, "annotations": [self._annotate(event)]})]
            case Finished():
                return self._finish(event)

    def completion(self) -> dict[str, Any]:
        """The whole answer, once every event has been written."""
        assert self.finished is not None
        message = {"role": "assistant", "content": self.content, "annotations": self.annotations}
        if self.reasoning:
            message["reasoning"] = self.reasoning
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self.finished.finish_reason,
            "docduet": self._choice_body(self.finished),
        }
        body = self._head("chat.completion") | {"choices": [choice], "docduet": self.top}
        return body | {"usage": self.finished.usage or _no_usage()}

    def _start(self, event: Started) -> None:
        route = {
            "reason": event.reason,
            "query": event.query,
            "rewritten": event.rewritten,
            "translated": event.translated,
        }
        self.top = {"answer_id": self.answer_id, "route": route}

    def _annotate(self, event: Cited) -> dict[str, Any]:
        start = len(self.content)
        self.content += event.marker
        citation = {
            "start_index": start,
            "end_index": len(self.content),
            "title": event.source.name,
            "url": event.source.href(self.public_url),
        }
        annotation = {"type": "url_citation", "url_citation": citation}
        self.annotations.append(annotation)
        return annotation

    def _open_webui(self, source: Source) -> dict[str, Any]:
        """Open WebUI numbers distinct names in order of arrival, so the name carries our number."""
        name = f"[{source.n}] {source.name}"
        href = source.href(self.public_url)
        data = {
            "source": {"name": name, "url": href},
            "document": [source.quote],
            "metadata": [{"source": href, "name": name}],
            "distances": [source.score],
        }
        return {"type": "source", "data": data}

    def _finish(self, event: Finished) -> list[dict[str, Any]]:
        self.finished = event
        last = self._chunk({}, event.finish_reason)
        last["choices"][0]["docduet"] = self._choice_body(event)
        usage = self._head("chat.completion.chunk") | {"choices": [], "usage": event.usage or _no_usage()}
        return [last, usage] if self.include_usage else [last]

    def _choice_body(self, event: Finished) -> dict[str, Any]:
        return {
            "arm": event.arm,
            "sources": [source_body(source, self.public_url) for source in event.sources],
            "refused": event.refused,
            "degraded": event.degraded,
            "timings_ms": event.timings_ms,
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.answer_id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk") | {"choices": [choice]}


def _no_usage() -> dict[str, int]:
    """No engine was asked."""
    return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


async def collect(events: AsyncIterator[Event], writer: ChoiceWriter) -> dict[str, Any]:
    """A whole completion out of an arm's events."""
    async for event in events:
        writer.chunks(event)
    return writer.completion()
