"""A prompt made to fit the engine's context: the oldest messages go first, then the passages found last.

Tokens are estimated (rag.chunk.estimate_tokens), so an engine may still turn a prompt down; it is then asked once more
with less. What had to go is reported. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.prompts import Message
from rag.chunk import estimate_tokens
from rag.expand import Section
from serving.arms.findings import Truncated

Build = Callable[[Sequence[Section], Sequence[Message]], list[Message]]
"""Passages and history in, the whole prompt out."""

MARGIN = 64
"""Tokens kept free for the chat template and for what the estimate misses."""

LESS = 0.6
"""Share of the prompt's estimate that is tried after an engine turned it down."""


@dataclass(frozen=True)
class Fitted:
    """A prompt, what it holds of the passages, and what had to go."""

    messages: list[Message]
    sections: Sequence[Section]
    sampling: Mapping[str, Any]
    truncated: Truncated | None

    @property
    def tokens(self) -> int:
        """The prompt's estimate."""
        return _size(self.messages)


def fitted(
    build: Build,
    sections: Sequence[Section],
    history: Sequence[Message],
    sampling: Mapping[str, Any],
    context: int | None,
    tokens: int | None = None,
) -> Fitted:
    """The largest prompt that fits. ``context``: what the engine takes, answer included (tokens), None where it does
    not say; ``tokens``: what the prompt may have at most. At least one passage and the question stay, fit or not.
    """
    sampling = _shortened(sampling, context)
    if context is not None:
        room = context - int(sampling.get("max_tokens", 0)) - MARGIN
        tokens = room if tokens is None else min(tokens, room)
    kept, before = list(sections), list(history)
    size = _Sizes()
    while True:
        messages = build(kept, before)
        if tokens is None or _fits(messages, tokens, size) or not (before or len(kept) > 1):
            break
        if before:
            del before[:2]
        else:
            kept.pop()
    gone = Truncated(len(history) - len(before), len(sections) - len(kept))
    return Fitted(messages, kept, sampling, gone if gone != Truncated() else None)


def _size(messages: Sequence[Message]) -> int:
    return sum(estimate_tokens(message["content"]) for message in messages)


class _Sizes(dict[str, int]):
    """Text -> its estimate, made once: a long conversation is measured again for each message that goes."""

    def __missing__(self, text: str) -> int:
        self[text] = found = estimate_tokens(text)
        return found


def _fits(messages: Sequence[Message], tokens: int, size: _Sizes) -> bool:
    """A character is never more than one token: most prompts need not be counted."""
    texts = [message["content"] for message in messages]
    return sum(map(len, texts)) <= tokens or sum(size[text] for text in texts) <= tokens


def _shortened(sampling: Mapping[str, Any], context: int | None) -> Mapping[str, Any]:
    """An answer gets at most half of the context: an engine turns a longer one down whatever the prompt."""
    if context is None or int(sampling.get("max_tokens", 0)) <= context // 2:
        return sampling
    return {**sampling, "max_tokens": context // 2}
