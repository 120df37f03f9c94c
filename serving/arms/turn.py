"""What an arm is given, and what it is."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from data.prompts import Message
from data.types import ANY, Filters
from serving.arms.events import Event
from serving.engines.engine import Engine

if TYPE_CHECKING:
    from serving.arms.retrieval import Found

EngineOf = Callable[[], Engine | None]


@dataclass(frozen=True)
class Turn:
    """One question with what came before it. ``sampling`` holds only parameters an engine may be given."""

    question: str
    history: tuple[Message, ...] = ()
    instructions: str = ""
    filters: Filters = ANY
    lang: str = "en"
    sampling: Mapping[str, Any] = field(default_factory=dict)


class Arm(Protocol):
    """``found``: what the search for this turn gave, where somebody has searched already; an arm that reads searches
    by itself otherwise. Raises EngineError (no engine to ask), NoIndexError, IndexMismatchError or UnknownLabelError (a
    filter that no page passes) before the first event only."""

    name: str

    def answer(self, turn: Turn, found: Found | None = None) -> AsyncGenerator[Event]: ...


class Clock:
    """Milliseconds spent, for ``timings_ms``."""

    def __init__(self, spent: Mapping[str, float] | None = None) -> None:
        """``spent``: what was spent before, stage by stage."""
        self._lap = time.perf_counter()
        self.timings: dict[str, float] = dict(spent or {})
        self._start = self._lap - sum(self.timings.values()) / 1000

    def lap(self, name: str) -> None:
        """Add the time since the last lap to ``name``."""
        now = time.perf_counter()
        self.timings[name] = round(self.timings.get(name, 0.0) + (now - self._lap) * 1000, 2)
        self._lap = now

    def split(self, name: str, parts: Mapping[str, float]) -> None:
        """Count ``parts`` (milliseconds) of what was spent on ``name`` as stages of their own."""
        for part, spent in parts.items():
            self.timings[part] = round(self.timings.get(part, 0.0) + spent, 2)
            self.timings[name] = round(self.timings[name] - spent, 2)

    def start(self) -> None:
        """Begin a lap here: what was spent since the last one belongs to none."""
        self._lap = time.perf_counter()

    def once(self, name: str) -> None:
        """Record the time since the start as ``name``, the first time it is called."""
        self.timings.setdefault(name, round((time.perf_counter() - self._start) * 1000, 2))
