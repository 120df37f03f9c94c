"""``stop``: an answer ends before the first of these sequences, whoever writes it: an engine or quoting mode.

Engines are told the sequences as well, so that they stop writing; but not those that could cut a citation marker in
two. A marker leaves whole or not at all. What is cut off is not cited either. Pure but for passing events on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from serving.arms.events import Cited, Event, Failed, Finished, Reasoning, Text
from serving.exchange import Choices

_IN_MARKERS = set("[]【】［］,，、;-–")


def stops_of(sampling: Mapping[str, Any]) -> tuple[str, ...]:
    """The stop sequences that a request names."""
    stop = sampling.get("stop") or ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def for_cited(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """``sampling`` for an engine that writes markers: without sequences that could end an answer inside of one."""
    kept = [stop for stop in stops_of(sampling) if not (_may_be_inside(stop))]
    rest = {name: value for name, value in sampling.items() if name != "stop"}
    return rest | ({"stop": kept} if kept else {})


def _may_be_inside(stop: str) -> bool:
    return stop == " " or any(char in _IN_MARKERS or char.isdigit() for char in stop)


async def stopped(choices: Choices, stops: Sequence[str]) -> Choices:
    """The events of all choices, each up to its first stop sequence."""
    filters: dict[int, StopFilter] = {}
    async with aclosing(choices):
        async for index, event in choices:
            for passed in filters.setdefault(index, StopFilter(stops)).feed(event):
                yield index, passed


class StopFilter:
    """One choice's events up to its first stop sequence. Holds back what may still become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held: list[Text | Cited] = []
        self._cited: set[int] = set()
        self._passed = 0  # characters
        self.hit = False

    def feed(self, event: Event) -> list[Event]:
        """The events that are certain after this one."""
        match event:
            case Text() | Cited():
                return [] if self.hit else self._said(event)
            case Reasoning():
                return [] if self.hit else [event]
            case Finished() if self.hit:
                return [self._cut(event)]
            case Finished() | Failed():
                return [*self._upto(self._length), event]
            case _:
                return [event]

    @property
    def _length(self) -> int:
        return sum(len(_content(event)) for event in self._held)

    def _cut(self, event: Finished) -> Finished:
        """The ending without what belongs to the text that was cut off."""
        support = event.support
        return replace(
            event,
            finish_reason="stop",
            sources=tuple(source for source in event.sources if source.n in self._cited),
            unsupported=tuple(sentence for sentence in event.unsupported if sentence.end <= self._passed),
            support=None if support is None else tuple(each for each in support if each.end <= self._passed),
        )

    def _said(self, event: Text | Cited) -> list[Event]:
        self._held.append(event)
        text = "".join(map(_content, self._held))
        found = [text.index(stop) for stop in self._stops if stop in text]
        if found:
            self.hit = True
            passed = self._upto(min(found))
            self._held = []
            return passed
        return self._upto(len(text) - self._beginning(text))

    def _beginning(self, text: str) -> int:
        """Length of the longest end of ``text`` that a stop sequence begins with."""
        longest = max(map(len, self._stops)) - 1
        return next((n for n in range(min(longest, len(text)), 0, -1) if self._begins(text[-n:])), 0)

    def _begins(self, end: str) -> bool:
        return any(stop.startswith(end) for stop in self._stops)

    def _upto(self, cut: int) -> list[Event]:
        """Let go of the first ``cut`` characters; a marker that they would cut in two stays."""
        passed: list[Event] = []
        while self._held and cut > 0:
            event = self._held[0]
            length = len(_content(event))
            if length <= cut:
                passed.append(self._held.pop(0))
                if isinstance(event, Cited):
                    self._cited.add(event.source.n)
            elif isinstance(event, Text):
                passed.append(Text(event.text[:cut]))
                self._held[0] = Text(event.text[cut:])
            cut -= length
        self._passed += sum(len(_content(event)) for event in passed if isinstance(event, Text | Cited))
        return passed


def _content(event: Text | Cited) -> str:
    return event.text if isinstance(event, Text) else event.marker
