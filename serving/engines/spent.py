"""What engines were asked and said for one request, counted while it happens: known even when it is cut short.

    with_tally(spent)      # from here on, in this task and those it starts, engine calls add to ``spent``

Until an engine tells its own count, which it does at the end, tokens are estimated: a token is about four bytes of
UTF-8, for English (four letters) as for Chinese (one and a third characters).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from data.prompts import Message

BYTES_PER_TOKEN = 4


@dataclass
class Call:
    """One call of an engine, in tokens."""

    prompt: float
    completion: float = 0.0

    def refused(self) -> None:
        """The engine never began: nothing was read."""
        self.prompt = 0.0

    def said(self, text: str) -> None:
        self.completion += len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN

    def told(self, usage: dict[str, int]) -> None:
        """The engine's own count."""
        self.prompt = usage.get("prompt_tokens", self.prompt)
        self.completion = usage.get("completion_tokens", self.completion)


@dataclass
class Spent:
    """All calls for one request."""

    calls: list[Call] = field(default_factory=list)

    @property
    def usage(self) -> dict[str, int]:
        """In OpenAI's words."""
        prompt, completion = (
            round(sum(getattr(call, part) for call in self.calls)) for part in ("prompt", "completion")
        )
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


_tally: ContextVar[Spent | None] = ContextVar("spent", default=None)


def with_tally(spent: Spent) -> None:
    """Let the engine calls of this task and of those it starts add to ``spent``."""
    _tally.set(spent)


def begin(messages: Sequence[Message]) -> Call:
    """A call that begins."""
    size = sum(len(message["content"].encode("utf-8", "replace")) for message in messages)
    call = Call(size / BYTES_PER_TOKEN)
    spent = _tally.get()
    if spent is not None:
        spent.calls.append(call)
    return call
