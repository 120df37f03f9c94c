"""What an answer is made of, as frozen events, and the parser that reads them off the gateway's stream.

Started comes first, then Thinking / Text / SourceFound / Marker, then one Done or Failure. Pure: no I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Source:
    """A cited passage. ``marks``: character offsets of the matching words in ``quote``, which is Markdown."""

    n: int
    title: str = ""
    heading_path: tuple[str, ...] = ()
    quote: str = ""
    marks: tuple[tuple[int, int], ...] = ()
    href: str = ""
    url: str = ""
    page_id: str = ""
    lang: str = ""
    score: float = 0.0
    product: str = ""
    version: str = ""


@dataclass(frozen=True)
class Started:
    """First event. ``query`` is what was searched; ``rewritten`` when that is not the question as it was asked."""

    answer_id: str = ""
    reason: str = ""
    query: str = ""
    rewritten: bool = False


@dataclass(frozen=True)
class Thinking:
    """A piece of the model's thinking, never part of the answer."""

    text: str


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class SourceFound:
    """A source about to be cited for the first time; Done brings it in full."""

    source: Source


@dataclass(frozen=True)
class Marker:
    """A citation marker such as ``[1]``; ``start``/``end`` are its offsets in the whole answer."""

    text: str
    start: int = 0
    end: int = 0
    title: str = ""
    url: str = ""


@dataclass(frozen=True)
class Done:
    """Last event of a whole answer."""

    arm: str = ""
    sources: tuple[Source, ...] = ()
    refused: bool = False
    degraded: str | None = None
    finish_reason: str = "stop"
    timings_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Last event of an answer that broke off."""

    message: str
    code: str = ""


Event = Started | Thinking | Text | SourceFound | Marker | Done | Failure


class AnswerParser:
    """Turns the lines of one SSE answer into events."""

    def __init__(self) -> None:
        self._ended = False
        self._sources = 0

    def feed(self, line: str) -> list[Event]:
        """The events in one line; a line that is not ours brings none."""
        if self._ended or not line.startswith("data:"):
            return []
        payload = line.removeprefix("data:").strip()
        if payload == "[DONE]":
            return []
        try:
            chunk = json.loads(payload)
        except json.JSONDecodeError:
            return [self._last(Failure("The gateway sent something that is not a chat stream.", "bad_stream"))]
        return self._events(chunk) if isinstance(chunk, dict) else []

    def end(self) -> list[Event]:
        """What is left to say when the stream is over: a Failure unless it ended properly."""
        if self._ended:
            return []
        return [
            self._last(Failure("The answer broke off: the gateway closed the connection. Ask again.", "broken_off"))
        ]

    def broken(self, timed_out: bool) -> Failure:
        """The Failure for a connection that broke mid-answer."""
        reason = "the gateway went silent" if timed_out else "the connection to the gateway was lost"
        return self._last(Failure(f"The answer broke off: {reason}. Ask again.", "broken_off"))

    def _last(self, event: Failure) -> Failure:
        self._ended = True
        return event

    def _events(self, chunk: dict[str, Any]) -> list[Event]:
        if error := chunk.get("error"):
            return [self._last(Failure(str(error.get("message", error)), str(error.get("code") or "")))]
        choices = chunk.get("choices") or [{}]
        start: list[Event] = [_started(chunk["docduet"])] if "docduet" in chunk else []
        if choices[0].get("index"):  # the second of two answers: the first is the better one, and is shown alone
            return start
        if chunk.get("event", {}).get("type") == "source":
            self._sources += 1
            return [SourceFound(_announced(self._sources, chunk["event"].get("data", {})))]
        return [*start, *_delta(choices[0].get("delta") or {}), *self._done(choices[0])]

    def _done(self, choice: dict[str, Any]) -> list[Event]:
        body = choice.get("docduet")
        if body is None:
            return []
        self._ended = True
        return [_finished(body, choice.get("finish_reason") or "stop")]


def _started(body: dict[str, Any]) -> Started:
    route = body.get("route") or {}
    return Started(
        answer_id=body.get("answer_id", ""),
        reason=route.get("reason", ""),
        query=route.get("query", ""),
        rewritten=bool(route.get("rewritten")),
    )


def _delta(delta: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    if thinking := delta.get("reasoning"):
        events.append(Thinking(thinking))
    if text := delta.get("content"):
        citation = next((a.get("url_citation", {}) for a in delta.get("annotations") or []), None)
        events.append(Text(text) if citation is None else _marker(text, citation))
    return events


def _marker(text: str, citation: dict[str, Any]) -> Marker:
    start, end = citation.get("start_index", 0), citation.get("end_index", 0)
    return Marker(text, start, end, citation.get("title", ""), citation.get("url", ""))


def _announced(n: int, data: dict[str, Any]) -> Source:
    """What the source event says: enough for a card until the whole source comes."""
    about = data.get("source") or {}
    title = re.sub(r"^\[\d+\]\s*", "", str(about.get("name", "")))
    return Source(n=n, title=title, href=about.get("url", ""), quote="\n".join(data.get("document") or []))


def _finished(body: dict[str, Any], reason: str) -> Done:
    return Done(
        arm=body.get("arm", ""),
        sources=tuple(_source(source) for source in body.get("sources") or []),
        refused=bool(body.get("refused")),
        degraded=body.get("degraded"),
        finish_reason=reason,
        timings_ms=body.get("timings_ms") or {},
    )


def _source(body: dict[str, Any]) -> Source:
    wanted = ("n", "title", "quote", "href", "url", "page_id", "lang", "score", "product", "version")
    known = {name: body[name] for name in wanted if name in body}
    marks = tuple((int(start), int(end)) for start, end in body.get("marks") or [])
    return Source(**known, heading_path=tuple(body.get("heading_path") or ()), marks=marks)
