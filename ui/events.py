"""What an answer is made of, as frozen events, and the parser that reads them off the gateway's stream.

Started comes first, then each choice's Thinking / Text / SourceFound / Marker and its Done, the choices of a comparison
mixed as they come, and last Used. A Failure ends everything. Pure: no I/O.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CUT = "shutting down"  # what the gateway calls an answer that it cut off when it was stopped
CUT_MESSAGE = "The answer broke off: the gateway is shutting down. Ask again in a moment."


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
class Sentence:
    """A checked sentence of a learned answer; ``page_id`` is "" where no page supports it. Offsets are characters of
    the answer, end exclusive, here and below."""

    start: int
    end: int
    url: str = ""
    title: str = ""
    page_id: str = ""


@dataclass(frozen=True)
class Unsupported:
    """A sentence that cites source ``n``, which does not say what it says."""

    start: int
    end: int
    n: int


@dataclass(frozen=True)
class Stale:
    """A supporting page that has changed since the model was trained."""

    url: str
    title: str = ""


@dataclass(frozen=True)
class Started:
    """First event. ``query`` is what was searched; ``rewritten`` when that is not the question as it was asked;
    ``scores``: what spoke for each voice, where `auto` weighed them; ``blind``: who answers is told after the vote;
    ``conversation``: where the answer is kept."""

    answer_id: str = ""
    reason: str = ""
    query: str = ""
    rewritten: bool = False
    blind: bool = False
    conversation: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Thinking:
    """A piece of the model's thinking, never part of the answer."""

    text: str
    choice: int = 0


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str
    choice: int = 0


@dataclass(frozen=True)
class SourceFound:
    """A source about to be cited for the first time; Done brings it in full."""

    source: Source
    choice: int = 0


@dataclass(frozen=True)
class Marker:
    """A citation marker such as ``[1]``; ``start``/``end`` are its offsets in the whole answer."""

    text: str
    start: int = 0
    end: int = 0
    title: str = ""
    url: str = ""
    choice: int = 0


@dataclass(frozen=True)
class Done:
    """Last event of a choice. ``failure``: why this voice could not answer, while another perhaps could.

    ``support``: the checked sentences of a learned answer, None where nothing was checked. ``left_out``: messages and
    passages that the prompt had no room for.
    """

    arm: str = ""
    sources: tuple[Source, ...] = ()
    refused: bool = False
    degraded: str | None = None
    finish_reason: str = "stop"
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    failure_code: str = ""
    choice: int = 0
    support: tuple[Sentence, ...] | None = None
    unsupported: tuple[Unsupported, ...] = ()
    stale: tuple[Stale, ...] = ()
    left_out: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Used:
    """Tokens that engines read and wrote for the whole answer, of all its choices together."""

    read: int = 0
    written: int = 0


@dataclass(frozen=True)
class Failure:
    """Last event of all, when the answer broke off."""

    message: str
    code: str = ""


Event = Started | Thinking | Text | SourceFound | Marker | Done | Used | Failure


class AnswerParser:
    """Turns the lines of one SSE answer into events."""

    def __init__(self) -> None:
        self._ended = False
        self._open: set[int] = {0}
        self._sources: Counter[int] = Counter()

    def feed(self, line: str) -> list[Event]:
        """The events in one line; a line that is not ours brings none."""
        if self._ended or not line.startswith("data:"):
            return []
        payload = line.removeprefix("data:").strip()
        if payload == "[DONE]":
            self._ended = self._ended or not self._open
            return []
        try:
            chunk = json.loads(payload)
        except json.JSONDecodeError:
            return [self._last(Failure("The gateway sent something that is not a chat stream.", "bad_stream"))]
        return self._events(chunk) if isinstance(chunk, dict) else []

    def end(self) -> list[Event]:
        """What is left to say when the stream is over: a Failure unless every choice has ended properly."""
        if self._ended or not self._open:
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
        choice = (chunk.get("choices") or [{}])[0]
        index = int(choice.get("index") or 0)
        if chunk.get("event", {}).get("type") == "source":
            self._sources[index] += 1
            return [SourceFound(_announced(self._sources[index], chunk["event"].get("data", {})), index)]
        if usage := chunk.get("usage"):
            return [Used(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))]
        start = [_started(chunk["docduet"])] if "docduet" in chunk else []
        delta = choice.get("delta") or {}
        if delta.get("role"):
            self._open.add(index)
        return [*start, *_delta(delta, index), *self._done(choice, index)]

    def _done(self, choice: dict[str, Any], index: int) -> list[Event]:
        body = choice.get("docduet")
        if body is None:
            return []
        self._open.discard(index)
        return [finished(body, choice.get("finish_reason") or "stop", index)]


def _started(body: dict[str, Any]) -> Started:
    route = body.get("route") or {}
    return Started(
        answer_id=body.get("answer_id", ""),
        reason=route.get("reason", ""),
        query=route.get("query", ""),
        rewritten=bool(route.get("rewritten")),
        blind=bool(body.get("blind")),
        conversation=body.get("conversation") or "",
        scores=route.get("scores") or {},
    )


def _delta(delta: dict[str, Any], choice: int) -> list[Event]:
    events: list[Event] = []
    if thinking := delta.get("reasoning"):
        events.append(Thinking(thinking, choice))
    if text := delta.get("content"):
        citation = next((a.get("url_citation", {}) for a in delta.get("annotations") or []), None)
        events.append(Text(text, choice) if citation is None else _marker(text, citation, choice))
    return events


def _marker(text: str, citation: dict[str, Any], choice: int) -> Marker:
    start, end = citation.get("start_index", 0), citation.get("end_index", 0)
    return Marker(text, start, end, citation.get("title", ""), citation.get("url", ""), choice)


def _announced(n: int, data: dict[str, Any]) -> Source:
    """What the source event says: enough for a card until the whole source comes."""
    about = data.get("source") or {}
    title = re.sub(r"^\[\d+\]\s*", "", str(about.get("name", "")))
    return Source(n=n, title=title, href=about.get("url", ""), quote="\n".join(data.get("document") or []))


def finished(body: dict[str, Any], reason: str, choice: int) -> Done:
    """What ``choices[i].docduet`` says of a choice that has ended, streamed or stored."""
    error = body.get("error") or {}
    degraded = body.get("degraded")
    if degraded == CUT:  # nothing was quoted instead: the answer just ends
        degraded, error = None, {"message": CUT_MESSAGE, "code": "shutting_down"}
    return Done(
        arm=body.get("arm", ""),
        sources=tuple(_source(source) for source in body.get("sources") or []),
        refused=bool(body.get("refused")),
        degraded=degraded,
        finish_reason=reason,
        timings_ms=body.get("timings_ms") or {},
        failure=str(error.get("message") or ""),
        failure_code=str(error.get("code") or ""),
        choice=choice,
        **_checks(body),
    )


def _checks(body: dict[str, Any]) -> dict[str, Any]:
    """What was found out about the answer beside its words."""
    support, left_out = body.get("support"), body.get("truncated") or {}
    return {
        "support": None if support is None else tuple(_sentence(found) for found in support),
        "unsupported": tuple(Unsupported(s["start"], s["end"], s["n"]) for s in body.get("unsupported") or []),
        "stale": tuple(Stale(page["url"], page.get("title") or "") for page in body.get("stale") or []),
        "left_out": (left_out.get("history", 0), left_out.get("passages", 0)),
    }


def _sentence(body: dict[str, Any]) -> Sentence:
    named = {name: body.get(name) or "" for name in ("url", "title", "page_id")}
    return Sentence(body["start"], body["end"], **named)


def _source(body: dict[str, Any]) -> Source:
    wanted = ("n", "title", "quote", "href", "url", "page_id", "lang", "score", "product", "version")
    known = {name: body[name] for name in wanted if name in body}
    marks = tuple((int(start), int(end)) for start, end in body.get("marks") or [])
    return Source(**known, heading_path=tuple(body.get("heading_path") or ()), marks=marks)
