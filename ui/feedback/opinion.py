"""What the reader of a page thinks of one reply, as plain frozen data. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ui.turns import Reply, Turn

Rating = Literal["", "up", "down"]
Use = Literal["", "sft", "eval"]
Review = Literal["", "kept", "proposed", "promoted", "rejected"]
REASONS = ("wrong", "not_in_docs", "incomplete", "too_long", "too_short", "wrong_source", "outdated", "other")


@dataclass(frozen=True)
class Opinion:
    """``pages``: urls of the pages that answer the question; None: nothing was said. ``review``: what became of the
    correction, "" where there is none; ``use``: "sft" or "eval", what it is for once it is promoted.

    ``open``: the form is shown. ``failure``: why what is here could not be sent, and is not kept anywhere else.
    """

    rating: Rating = ""
    reasons: tuple[str, ...] = ()
    comment: str = ""
    should_have_said: str = ""
    pages: tuple[str, ...] | None = None
    review: Review = ""
    use: Use = ""
    open: bool = False
    failure: str = ""

    @property
    def wordy(self) -> bool:
        """Whether more than a thumb would be lost with it."""
        return bool(self.reasons or self.comment or self.should_have_said)


NONE = Opinion()


def opinable(turn: Turn, index: int) -> bool:
    """Whether an opinion of this reply can be given: it has ended, and it is told who speaks."""
    if not turn.answer_id or not 0 <= index < len(turn.replies):
        return False
    reply = turn.replies[index]
    ended = reply.state == "done" or (reply.state == "stopped" and bool(reply.answer.strip()))
    return ended and bool(reply.arm or not turn.blind)


def with_opinion(turn: Turn, index: int, opinion: Opinion) -> Turn:
    """``turn`` with another opinion of one reply."""
    replies = [replace(reply, opinion=opinion) if i == index else reply for i, reply in enumerate(turn.replies)]
    return replace(turn, replies=tuple(replies), revision=turn.revision + 1)


def with_stored(turn: Turn, stored: Sequence[Mapping[str, Any]]) -> Turn:
    """``turn`` with the opinions that a stored turn of the API has in its ``feedback``."""
    known = {int(entry["choice"]): opinion_of(entry) for entry in stored}
    replies: list[Reply] = [replace(reply, opinion=known.get(i, NONE)) for i, reply in enumerate(turn.replies)]
    return replace(turn, replies=tuple(replies))


def opinion_of(entry: Mapping[str, Any]) -> Opinion:
    """An opinion as the API tells it (``POST /v1/feedback``, ``feedback`` of a stored turn)."""
    correction = entry.get("correction") or {}
    pages = correction.get("pages")
    return Opinion(
        rating=entry["rating"],
        reasons=tuple(entry.get("reasons") or ()),
        comment=str(entry.get("comment") or ""),
        should_have_said=str(entry.get("should_have_said") or ""),
        pages=None if pages is None else tuple(pages),
        review=correction.get("review") or "",
        use=correction.get("use") or "",
    )
