"""A conversation as plain frozen data: turns, and how an event changes one. Pure.

The browser holds the conversation and sends it back with the next question, so the server keeps nothing per tab and a
restart loses nothing. What comes back is untrusted and is read through pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from data.citations import strip_markers
from data.prompts import Message
from data.types import ANY, Filters
from ui.events import (
    Done,
    Event,
    Failure,
    Marker,
    Sentence,
    Source,
    SourceFound,
    Stale,
    Started,
    Text,
    Thinking,
    Unsupported,
    Used,
)
from ui.feedback.opinion import NONE, Opinion
from ui.markdown import safe_href
from ui.text import one_line

State = Literal["waiting", "writing", "done", "stopped", "failed"]
Winner = Literal["0", "1", "tie", "both_bad"]
NOTHING = Used()
REMEMBERED = 8  # earlier turns sent along with a question


@dataclass(frozen=True)
class Reply:
    """What one voice says. ``arm``: "" until it is known, and before a blind vote. What was checked: see Done."""

    state: State = "waiting"
    answer: str = ""
    thinking: str = ""
    sources: tuple[Source, ...] = ()
    arm: str = ""
    refused: bool = False
    degraded: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""
    failure_code: str = ""
    opinion: Opinion = NONE
    support: tuple[Sentence, ...] | None = None
    unsupported: tuple[Unsupported, ...] = ()
    stale: tuple[Stale, ...] = ()
    left_out: tuple[int, int] = (0, 0)

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "writing")


@dataclass(frozen=True)
class Vote:
    """Which of two replies is better. ``reasons``: quick ones (ui/sides/client.py); ``comment``: one's own words."""

    winner: Winner
    reasons: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Turn:
    """One question and its replies: one, or two side by side. ``query`` is set only when the question was rewritten for
    the search; ``filters``: the pages that were searched; ``reason`` and ``scores``: why these voices answer;
    ``conversation``: where it is kept.

    ``revision``: how often the turn has changed since its answer ended. The browser shows the newest one, also when an
    answer that streams brings the older one once more.
    """

    key: str
    question: str
    voice: str = "rag"
    query: str = ""
    reason: str = ""
    answer_id: str = ""
    conversation: str = ""
    blind: bool = False
    filters: Filters = ANY
    scores: Mapping[str, float] = field(default_factory=dict)
    used: Used = NOTHING
    replies: tuple[Reply, ...] = (Reply(),)
    vote: Vote | None = None
    revision: int = 0

    @property
    def running(self) -> bool:
        return any(reply.running for reply in self.replies)

    @property
    def reply(self) -> Reply:
        """The first one: that of a turn which is no comparison."""
        return self.replies[0]

    @property
    def votable(self) -> bool:
        """Whether two whole answers stand side by side."""
        return len(self.replies) == 2 and bool(self.answer_id) and all(reply.state == "done" for reply in self.replies)

    @property
    def secret(self) -> bool:
        """Whether who said what is not told yet."""
        return self.blind and self.vote is None


_TURN = TypeAdapter(Turn)


def after(turn: Turn, event: Event) -> Turn:
    """``turn`` once ``event`` has happened."""
    match event:
        case Started():
            return _begun(turn, event)
        case Used():
            return replace(turn, used=event)
        case Failure():
            nothing = all(reply.state == "waiting" for reply in turn.replies)  # then one failure says it all
            replies = turn.replies[:1] if nothing else turn.replies
            return replace(turn, replies=tuple(_failed(r, event) if r.running else r for r in replies))
        case _:
            known = turn.replies + (Reply(),) * (event.choice + 1 - len(turn.replies))
            changed = _continued(known[event.choice], event)
            return replace(turn, replies=(*known[: event.choice], changed, *known[event.choice + 1 :]))


def _begun(turn: Turn, event: Started) -> Turn:
    return replace(
        turn,
        query=event.query if event.rewritten else "",
        reason=event.reason,
        scores=dict(event.scores),
        answer_id=event.answer_id,
        conversation=event.conversation,
        blind=event.blind,
    )


def _continued(reply: Reply, event: Thinking | Text | Marker | SourceFound | Done) -> Reply:
    match event:
        case Thinking():
            return replace(reply, state="writing", thinking=reply.thinking + event.text)
        case Text() | Marker():
            return replace(reply, state="writing", answer=reply.answer + event.text)
        case SourceFound():
            return replace(reply, sources=(*reply.sources, event.source))
        case Done():
            return _finished(reply, event)


def _failed(reply: Reply, failure: Failure) -> Reply:
    return replace(reply, state="failed", failure=failure.message, failure_code=failure.code)


def stopped(turn: Turn) -> Turn:
    """``turn`` as it is left when its reader stops it."""
    return replace(turn, replies=tuple(replace(r, state="stopped") if r.running else r for r in turn.replies))


def _finished(reply: Reply, done: Done) -> Reply:
    return replace(
        reply,
        state="failed" if done.failure else "done",
        arm=done.arm,
        sources=() if done.refused else done.sources,
        refused=done.refused,
        degraded=done.degraded or "",
        timings_ms=dict(done.timings_ms),
        failure=done.failure,
        failure_code=done.failure_code,
        support=done.support,
        unsupported=done.unsupported,
        stale=done.stale,
        left_out=done.left_out,
    )


def with_local_links(event: Event, gateway_url: str) -> Event:
    """Links to the gateway's own pages made relative: the browser may know the gateway by another name."""
    return _relinked(event, gateway_url, lambda href: href.removeprefix(gateway_url))


def without_links_to(event: Event, gateway_url: str) -> Event:
    """Links to the gateway's own pages left out: it will be gone when somebody follows them."""
    return _relinked(event, gateway_url, lambda _: "")


def _relinked(event: Event, gateway_url: str, change: Callable[[str], str]) -> Event:
    def changed(source: Source) -> Source:
        ours = source.href.startswith(f"{gateway_url}/pages/")
        return replace(source, href=change(source.href)) if ours else source

    match event:
        case SourceFound():
            return replace(event, source=changed(event.source))
        case Done():
            return replace(event, sources=tuple(changed(source) for source in event.sources))
        case _:
            return event


def messages(turns: Sequence[Turn], question: str) -> list[Message]:
    """What is sent to the gateway: the last turns that have an answer, then the question. Of two replies the better one
    stands for its turn, and without a vote the first that is an answer."""
    answered = [(turn.question, reply.answer) for turn in turns if (reply := _said(turn))]
    history: list[Message] = []
    for asked, answer in answered[-REMEMBERED:]:
        history += [Message(role="user", content=asked), Message(role="assistant", content=answer)]
    return [*history, Message(role="user", content=question)]


def _said(turn: Turn) -> Reply | None:
    replies = turn.replies[::-1] if turn.vote and turn.vote.winner == "1" else turn.replies
    return next((reply for reply in replies if reply.answer and not reply.refused), None)


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


def on_page(value: Any) -> list[Turn]:
    """The turns of the conversation component's value, as the browser sent it."""
    items = value.get("turns") if isinstance(value, dict) else None
    return load([item.get("turn") for item in items if isinstance(item, dict)]) if isinstance(items, list) else []


def before(turns: Sequence[Turn], key: str) -> list[Turn]:
    """The turns before the one called ``key``, which is asked anew; all of them where there is none."""
    keys = [turn.key for turn in turns]
    return list(turns[: keys.index(key)]) if key in keys else list(turns)


def plain_text(reply: Reply) -> str:
    """The answer alone, for the clipboard: no markers, since nothing stands behind them there."""
    return strip_markers(reply.answer).strip() if reply.sources else reply.answer.strip()


def sources_text(reply: Reply) -> str:
    """The sources of an answer whose markers are kept, for the clipboard (Markdown)."""
    return "\n".join(f"- [{source.n}] {_linked(source)}" for source in reply.sources)


def _linked(source: Source) -> str:
    """``[Ports › Setup](/pages/...)``; what would end the link's text early is escaped."""
    path = [source.title, *(part for part in source.heading_path if part != source.title)]
    name = re.sub(r"([\\\[\]`*_<>])", r"\\\1", one_line(" › ".join(path)))
    href = safe_href(source.href)
    return f"[{name}]({href.translate(_IN_LINK)})" if href else name


_IN_LINK = str.maketrans({"(": "%28", ")": "%29"})
