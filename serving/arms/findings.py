"""What is found out about an answer beside its words. Plain values: offsets are characters of the answer's text, end
exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer and the page that supports it best; ``url`` and ``title`` are "" where none does.

    ``score``: probability that the page supports it (rag/support.py), 0 to 1.
    """

    start: int
    end: int
    url: str = ""
    title: str = ""
    page_id: str = ""
    score: float = 0.0

    @property
    def supported(self) -> bool:
        return bool(self.page_id)


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
    title: str


@dataclass(frozen=True)
class Truncated:
    """How much had to be left out of the prompt: messages of the conversation, and passages."""

    history: int = 0
    passages: int = 0


def share_supported(sentences: tuple[Sentence, ...] | None) -> float | None:
    """Share of the sentences that a page supports; None where nothing could be checked."""
    return round(sum(s.supported for s in sentences) / len(sentences), 3) if sentences else None
