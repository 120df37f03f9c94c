"""A conversation as plain frozen data: turns, and how an event changes one. Pure.

The browser holds the conversation and sends it back with the next question, so the server keeps nothing per tab and a
restart loses nothing. What comes back is untrusted and is read through pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from data.prompts import Message
from data.types import ANY, Filters
from ui.events import Done, Event, Failure, Marker, Source, SourceFound, Started, Text, Thinking

State = Literal["waiting", "writing", "done", "stopped", "failed"]
REMEMBERED = 8  # earlier turns sent along with a question


@dataclass(frozen=True)
class Turn:
    """One question and its answer. ``query`` is set only when the question was rewritten for the search; ``filters``:
    the pages that were searched."""

    key: str
    question: str
    voice: str = "rag"
    state: State = "waiting"
    answer: str = ""
    thinking: str = ""
    sources: tuple[Source, ...] = ()
    query: str = ""
    arm: str = ""
    refused: bool = False
    degraded: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    failure_code: str = ""
    filters: Filters = ANY

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "writing")


_TURN = TypeAdapter(Turn)


def after(turn: Turn, event: Event) -> Turn:
    """``turn`` once ``event`` has happened."""
    match event:
        case Started():
            return replace(turn, query=event.query if event.rewritten else "")
        case Thinking():
            return replace(turn, state="writing", thinking=turn.thinking + event.text)
        case Text() | Marker():
            return replace(turn, state="writing", answer=turn.answer + event.text)
        case SourceFound():
            return replace(turn, sources=(*turn.sources, event.source))
        case Done():
            return _finished(turn, event)
        case Failure():
            return replace(turn, state="failed", failure=event.message, failure_code=event.code)


def stopped(turn: Turn) -> Turn:
    """``turn`` as it is left when its reader stops it."""
    return replace(turn, state="stopped") if turn.running else turn


def _finished(turn: Turn, done: Done) -> Turn:
    return replace(
        turn,
        state="done",
        arm=done.arm,
        sources=() if done.refused else done.sources,
        refused=done.refused,
        degraded=done.degraded or "",
        timings_ms=dict(done.timings_ms),
    )


def with_local_links(event: Event, gateway_url: str) -> Event:
    """Links to the gateway's own pages made relative: the browser may know the gateway by another name."""
    match event:
        case SourceFound(source):
            return SourceFound(_local(source, gateway_url))
        case Done():
            return replace(event, sources=tuple(_local(source, gateway_url) for source in event.sources))
        case _:
            return event


def _local(source: Source, gateway_url: str) -> Source:
    return (
        replace(source, href=source.href.removeprefix(gateway_url))
        if source.href.startswith(f"{gateway_url}/pages/")
        else source
    )


def messages(turns: Sequence[Turn], question: str) -> list[Message]:
    """What is sent to the gateway: the last turns that have an answer, then the question."""
    history: list[Message] = []
    for turn in [t for t in turns if t.answer and not t.refused][-REMEMBERED:]:
        history += [Message(role="user", content=turn.question), Message(role="assistant", content=turn.answer)]
    return [*history, Message(role="user", content=question)]


def dump(turn: Turn) -> dict[str, Any]:
    """``turn`` as JSON-able values."""
    plain: dict[str, Any] = _TURN.dump_python(turn, mode="json")
    return plain


def load(values: Any) -> list[Turn]:
    """The turns the browser sent back; one that is not a turn is left out."""
    turns = []
    for value in values if isinstance(values, list) else []:
        try:
            turns.append(_TURN.validate_python(value))
        except ValidationError:
            continue
    return turns


def plain_text(turn: Turn) -> str:
    """The answer with its sources, for the clipboard (Markdown)."""
    lines = [f"[{s.n}] {' > '.join([s.title, *s.heading_path])} {s.href}".rstrip() for s in turn.sources]
    return "\n\n".join(filter(None, [turn.answer.strip(), "\n".join(lines)]))
