"""Several arms answer one turn at the same time; their events are passed on as they come.

One that fails ends its own choice (Failed) and leaves the others whole. What failed before the first word is held back
until another has said something, so that "none of them can answer" is still one clear error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from data.errors import DocDuetError, EngineError
from data.prompts import prompt_lang
from serving.arms.events import Event, Failed, Started, Text
from serving.arms.retrieval import Found
from serving.arms.turn import Arm, Turn
from serving.errors import ApiError, as_api_error
from serving.exchange import Choices
from serving.ops.logs import plainly

log = logging.getLogger(__name__)

HELD = 64
"""Events that wait for a slow reader; then the arms wait."""

SILENT = {"en": "This voice could not answer.", "zh": "此回答方式未能给出回答。"}
BROKE_OFF = {"en": "*This voice broke off here.*", "zh": "*此回答在这里中断。*"}

_Said = tuple[int, Event | Exception | None]
"""An arm's next event, what it failed of, or None: it has ended."""


async def side_by_side(arms: Sequence[Arm], turn: Turn, found: Found | None) -> Choices:
    """The events of all arms, choice by choice. ``found``: the one search that all of them work with.

    Raises EngineError when none can answer, or what all of them failed of. Closing it ends every arm.
    """
    queue: asyncio.Queue[_Said] = asyncio.Queue(HELD)
    tasks = [asyncio.create_task(_run(index, arm, turn, found, queue)) for index, arm in enumerate(arms)]
    progress = _Progress(arms, turn, found)
    try:
        while progress.running:
            index, said = await queue.get()
            for event in progress.take(index, said):
                yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(index: int, arm: Arm, turn: Turn, found: Found | None, queue: asyncio.Queue[_Said]) -> None:
    ending: Exception | None = None
    try:
        async with aclosing(arm.answer(turn, found)) as events:
            async for event in events:
                await queue.put((index, event))
    except Exception as error:
        known = isinstance(error, DocDuetError)
        log.warning("%s could not answer: %s", arm.name, plainly(error), exc_info=None if known else error)
        ending = error
    await queue.put((index, ending))


@dataclass
class _Choice:
    started: bool = False
    spoken: bool = False
    ended: bool = False
    error: Exception | None = None
    told: bool = False


class _Progress:
    """How far each choice has come, and what of it may be shown."""

    def __init__(self, arms: Sequence[Arm], turn: Turn, found: Found | None) -> None:
        self._arms = arms
        self._lang = prompt_lang(turn.lang)
        self._query = (
            Started(found.query, found.rewritten, found.translated) if found else Started(turn.question, False)
        )
        self._choices = [_Choice() for _ in arms]

    @property
    def running(self) -> bool:
        return not all(choice.ended for choice in self._choices)

    def take(self, index: int, said: Event | Exception | None) -> list[tuple[int, Event]]:
        """The events to pass on now. Raises when every arm has failed."""
        choice = self._choices[index]
        if said is None or isinstance(said, Exception):
            choice.ended, choice.error = True, said
            if all(other.error for other in self._choices):
                raise self._failure()
            return self._failures()
        if isinstance(said, Started):
            choice.started = True
            return [(index, said)]
        choice.spoken = True
        return [(index, said), *self._failures()]

    def _failures(self) -> list[tuple[int, Event]]:
        """The endings of those that failed, once somebody has spoken."""
        if not any(choice.spoken for choice in self._choices):
            return []
        events: list[tuple[int, Event]] = []
        for index, choice in enumerate(self._choices):
            if choice.error and not choice.told:
                choice.told = True
                events += [(index, event) for event in self._ending(index, choice, choice.error)]
        return events

    def _ending(self, index: int, choice: _Choice, error: Exception) -> list[Event]:
        known = as_api_error(error)
        notice = f"\n\n{BROKE_OFF[self._lang]}" if choice.spoken else SILENT[self._lang]
        begun: list[Event] = [] if choice.started else [self._query]
        return [*begun, Text(notice), Failed(self._arms[index].name, str(known), known.code)]

    def _failure(self) -> Exception:
        errors = [choice.error for choice in self._choices if choice.error]
        if len({str(error) for error in errors}) == 1:
            return errors[0]
        known = [as_api_error(error) for error in errors]
        whose = zip(self._arms, known, strict=True)
        message = "no voice could answer: " + "; ".join(f"{arm.name}: {error}" for arm, error in whose)
        first = known[0]
        if first.status < 500 and all(error.code == first.code for error in known):  # the request is at fault
            return ApiError(message, first.status, first.code, first.param)
        return EngineError(message)
