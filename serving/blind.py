"""What may be seen of a blind comparison before the vote: the words of both sides, and nothing else.

Arms, sources, citation markers, thinking, timings and the route are left out, lest a vote be swayed by what only
one side has. The exchange itself remembers everything: metrics and the store read it, and `reveal` in
serving/api/wire.py shows it after the vote.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import replace

from serving.arms.events import Cited, Event, Failed, Finished, Reasoning, Started, Text
from serving.exchange import Answer, Choices, Exchange

_HELD = re.compile(r"[ \n>]+$")
_QUOTED = re.compile(r"(?:\n>)*\n?>? *$")
FAILED = "this side could not answer"


def shown(exchange: Exchange, choices: Choices) -> tuple[Exchange, Choices]:
    """What is written for the client, and its events: the exchange itself, or what a blind vote may see of it."""
    if not exchange.blind:
        return exchange, choices
    seen = replace(exchange, answers={})
    return seen, _masked(exchange, seen, choices)


async def _masked(exchange: Exchange, seen: Exchange, choices: Choices) -> Choices:
    masks: dict[int, Mask] = {}
    async with aclosing(choices):
        async for index, event in choices:
            seen.conversation = exchange.conversation
            for masked in masks.setdefault(index, Mask()).of(event):
                seen.answers.setdefault(index, Answer()).add(masked)
                yield index, masked


class Mask:
    """One side's events without what tells its arm. White space waits, so that a marker takes its space along."""

    def __init__(self) -> None:
        self._held = ""

    def of(self, event: Event) -> list[Event]:
        """The events that may be seen in place of this one."""
        match event:
            case Started():
                return [Started("", False)]
            case Text(text):
                return self._text(self._held + text)
            case Reasoning():
                return []
            case Cited():
                self._held = _QUOTED.sub("", self._held) if ">" in self._held else self._held.rstrip(" ")
                return []
            case Finished():
                ended: Event = Finished("", finish_reason=event.finish_reason, usage=event.usage)
            case Failed():
                ended = Failed("", FAILED, "voice_failed")
        held, self._held = self._held, ""
        return [*([Text(held)] if held else []), ended]

    def _text(self, text: str) -> list[Event]:
        end = _HELD.search(text)
        self._held = end.group() if end else ""
        said = text[: len(text) - len(self._held)]
        return [Text(said)] if said else []
