"""One request and what comes of it: who asked what, and each choice's answer as far as it has come.

Everything that leaves the gateway or is kept of an answer is made from an Exchange: chat completions and responses
(serving/api), metrics, logs and what is stored.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from serving.arms.events import Cited, Event, Failed, Finished, Reasoning, Started, Text
from serving.arms.sources import Source
from serving.arms.turn import Turn
from serving.engines.spent import Spent, with_tally
from serving.principal import LOCAL, Principal

Choices = AsyncGenerator[tuple[int, Event]]
"""The events of all choices as they come, each with the index of its choice."""


@dataclass(frozen=True)
class Route:
    """Which arms answer, choice by choice, and why. ``scores``: what spoke for each, where something was weighed."""

    arms: tuple[str, ...]
    reason: str = "asked for by name"
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Citation:
    """A marker in an answer's text: offsets in characters, end exclusive."""

    start: int
    end: int
    source: Source


@dataclass
class Answer:
    """One choice. ``text`` holds the markers; ``finished`` and ``failed`` are None until the last event."""

    text: str = ""
    reasoning: str = ""
    citations: list[Citation] = field(default_factory=list)
    started: Started | None = None
    finished: Finished | None = None
    failed: Failed | None = None

    def add(self, event: Event) -> None:
        """Take in the next event."""
        match event:
            case Started():
                self.started = event
            case Text(text):
                self.text += text
            case Reasoning(text):
                self.reasoning += text
            case Cited(source):
                start = len(self.text)
                self.text += event.marker
                self.citations.append(Citation(start, len(self.text), source))
            case Finished():
                self.finished = event
            case Failed():
                self.failed = event


@dataclass
class Exchange:
    """``model``: the name that was asked for. ``asked_at``: Unix seconds. ``keep``: whether it is stored.

    ``conversation``: its id, "" outside any, "new" until one is made.
    ``replaces``: an earlier answer of the conversation, which this one and what follows it take the place of.
    ``most``: choices that the client can read, where the router decides how many there are.
    ``unused``: parameters that the request holds and nothing is done with.
    ``asked``: the arms that the request names for ``compare``; ``blind``: which is which is told after the vote.
    ``error``: what ended the whole exchange, where something did; ``cancelled``: the client went away.
    ``spent``: what the engines were asked and said.
    """

    model: str
    turn: Turn
    principal: Principal = LOCAL
    conversation: str = ""
    replaces: str = ""
    keep: bool = True
    asked: tuple[str, ...] = ()
    blind: bool = False
    most: int = 1
    unused: tuple[str, ...] = ()
    route: Route = Route(())
    id: str = field(default_factory=lambda: f"ans_{secrets.token_hex(12)}")
    asked_at: float = field(default_factory=time.time)
    answers: dict[int, Answer] = field(default_factory=dict)
    error: Exception | None = None
    cancelled: bool = False
    spent: Spent = field(default_factory=Spent)

    async def follow(self, choices: Choices) -> Choices:
        """Pass the events on and remember what they say."""
        with_tally(self.spent)
        try:
            async with aclosing(choices):
                async for index, event in choices:
                    self.answers.setdefault(index, Answer()).add(event)
                    yield index, event
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled = True
            raise
        except Exception as error:
            self.error = error
            raise

    @property
    def created(self) -> int:
        """``asked_at`` in whole seconds, as OpenAI's objects have it."""
        return int(self.asked_at)

    @property
    def order(self) -> tuple[str, ...]:
        """The arm of each choice, choice 0 first."""
        return self.route.arms

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of all that engines were asked, rewriting the question included; zeros where none was asked.

        As the engines count them; where an answer was cut short before they told, as far as it had come, estimated.
        """
        total = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        for answer in self.answers.values():
            for key, count in ((answer.finished and answer.finished.usage) or {}).items():
                total[key] = total.get(key, 0) + count
        return max(total, self.spent.usage, key=lambda usage: usage["total_tokens"])
