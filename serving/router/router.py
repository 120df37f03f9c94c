"""The router of a gateway: searches once, measures, decides, and lets the chosen voices answer.

    async with aclosing(router.choices(exchange, voices)) as choices: ...

Reads DOCDUET_HOME/router.json again whenever it changes; a damaged one is logged and the router before it stays (the
untrained default, where there was none). What is decided and why is decide.py's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from data.errors import ConfigError, EngineError, IndexMismatchError, NoIndexError
from data.prompts import refusal_text
from serving.arms.compare import side_by_side
from serving.arms.events import Event, Finished, Started, Text
from serving.arms.retrieval import Found
from serving.arms.turn import Arm, Clock, Turn
from serving.engines.engine import Engine
from serving.exchange import Choices, Exchange, Route
from serving.ops.logs import plainly
from serving.router.decide import Policy, decide, reason, weigh
from serving.router.features import Learned, measure, names
from serving.router.model import RouterModel, read_model
from serving.router.probe import Probe
from serving.router.rules import reply_to, small_talk

log = logging.getLogger(__name__)

AUTO = "auto"
FALLBACK = "rag"
"""The voice that is always there: without an engine it quotes."""

Search = Callable[[Turn], Awaitable[Found]]


@dataclass(frozen=True)
class Voices:
    """What there is to choose from now. ``arms``: those that can answer; ``search``: the one that all of them share;
    ``learned``: None without an sft voice; ``engine``: to ask whether the passages answer, None where none is asked;
    ``both``: whether two may answer where it cannot be told which is better; ``read_from``: see Policy."""

    arms: Mapping[str, Arm]
    search: Search
    learned: Learned | None = None
    engine: Engine | None = None
    both: bool = True
    read_from: float = 1.0


@dataclass(frozen=True)
class Considered:
    """A decision and what it came from."""

    route: Route
    features: Mapping[str, float]
    names: Sequence[str]
    policy: Policy


class Router:
    """``path``: of router.json, which need not be there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._model: RouterModel | None = None
        self._probe = Probe()

    @property
    def model(self) -> RouterModel | None:
        """What was fitted last; None for the untrained default. Costs one stat, unless there is something new."""
        try:
            at = self._path.stat()
            stamp: tuple[int, ...] = (at.st_ino, at.st_mtime_ns, at.st_size)
        except OSError:
            stamp = ()
        if stamp != self._seen:
            self._seen = stamp
            self._reload(bool(stamp))
        return self._model

    def _reload(self, there: bool) -> None:
        try:
            self._model = read_model(self._path) if there else None
        except FileNotFoundError:
            self._model = None
        except ConfigError as error:
            kept = "the router before it stays" if self._model else "the untrained default decides"
            log.warning("%s; %s", error, kept)
            return
        if self._model and self._model.simulated:
            log.warning("%s was fitted on simulated labels: its choices say nothing about your voices", self._path)

    async def consider(
        self,
        turn: Turn,
        found: Found,
        arms: Collection[str],
        learned: Learned | None = None,
        engine: Engine | None = None,
        both: bool = True,
        read_from: float = 1.0,
    ) -> Considered:
        """The route for a turn that has been searched. ``arms``: the voices to choose from; the rest as in Voices."""
        says_yes = await self._probe.says_yes(turn, found, engine)
        features, named = await asyncio.to_thread(_measured, turn, found, learned, says_yes)
        policy = weigh(features, arms, self.model, read_from)
        policy = policy if both else replace(policy, margin=0.0)
        return Considered(decide(policy, named, turn.lang), features, named, policy)

    async def choices(self, exchange: Exchange, voices: Voices) -> Choices:
        """Answer ``exchange``; its route is set before the first event."""
        turn = exchange.turn
        if talk := small_talk(turn.question):
            exchange.route = Route((), reason("talk", turn.lang))
            spoken = _say(turn.question, reply_to(talk, turn.lang))
            async for event in spoken:
                yield 0, event
            return
        exchange.route, found = await self._routed(turn, voices)
        async with aclosing(_answers(exchange, found, voices)) as events:
            async for index, event in events:
                yield index, _timed(event, found.timings_ms if found else {})

    async def _routed(self, turn: Turn, voices: Voices) -> tuple[Route, Found | None]:
        """Raises NoIndexError or IndexMismatchError where only reading would help, UnknownLabelError."""
        try:
            found = await voices.search(turn)
        except (NoIndexError, IndexMismatchError):
            if "sft" not in voices.arms:
                raise
            return Route(("sft",), reason("no index", turn.lang, one="sft")), None
        clock = Clock(found.timings_ms)
        considered = await self.consider(
            turn, found, voices.arms, voices.learned, voices.engine, voices.both, voices.read_from
        )
        clock.lap("route")
        return considered.route, replace(found, timings_ms=clock.timings)


def _measured(
    turn: Turn, found: Found, learned: Learned | None, says_yes: float | None
) -> tuple[dict[str, float], list[str]]:
    return measure(turn, found, learned, says_yes), names(turn, found)


async def _answers(exchange: Exchange, found: Found | None, voices: Voices) -> Choices:
    turn, names = exchange.turn, exchange.route.arms
    if len(names) > 1:
        async with aclosing(side_by_side([voices.arms[name] for name in names], turn, found)) as events:
            async for index, event in events:
                yield index, event
        return
    query = found.query if found else turn.question
    refusal = _say(query, refusal_text(turn.lang), found, refused=True)
    async with aclosing(_alone(exchange, names[0], found, voices) if names else refusal) as alone:
        async for event in alone:
            yield 0, event


async def _alone(exchange: Exchange, name: str, found: Found | None, voices: Voices) -> AsyncGenerator[Event]:
    """One voice's answer. Where it has learned and fails before its first word, `rag` answers in its place: the route
    leaves with the first event, so that is held back until something is said."""
    held: list[Event] = []
    spoken = False
    try:
        async with aclosing(voices.arms[name].answer(exchange.turn, found)) as events:
            async for event in events:
                held.append(event)
                spoken = spoken or not isinstance(event, Started)
                while spoken and held:
                    yield held.pop(0)
        return
    except EngineError as error:
        if spoken or name == FALLBACK or found is None:
            raise
        log.warning("answer %s: %s could not answer: %s", exchange.id, name, plainly(error))
    why = reason("fallen back", exchange.turn.lang, one=name, other=FALLBACK)
    exchange.route = Route((FALLBACK,), why, exchange.route.scores)
    async with aclosing(voices.arms[FALLBACK].answer(exchange.turn, found)) as events:
        async for event in events:
            yield event


async def _say(query: str, text: str, found: Found | None = None, refused: bool = False) -> AsyncGenerator[Event]:
    """An answer of the router's own: a fixed text, and no engine asked."""
    clock = Clock(found.timings_ms if found else None)
    yield Started(query, found.rewritten, found.translated) if found else Started(query, False)
    clock.once("first_token")
    yield Text(text)
    clock.once("total")
    yield Finished(arm=AUTO, refused=refused, timings_ms=clock.timings)


def _timed(event: Event, spent: Mapping[str, float]) -> Event:
    """The last event with what search and route took, of an arm whose clock began after them."""
    if not isinstance(event, Finished) or "route" in event.timings_ms or not spent:
        return event
    before = sum(spent.values())
    since = {
        name: round(value + before, 2) for name, value in event.timings_ms.items() if name in ("first_token", "total")
    }
    return replace(event, timings_ms={**spent, **event.timings_ms, **since})
