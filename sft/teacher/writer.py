"""The teacher as a writer of samples: plans, says what it will cost, asks, and hands out what passed and what did not.

All calls are made when the first sample is asked for, and the outcomes come in the plan's order: the same pages and the
same cache give the same dataset, whoever answered first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data.chat.cache import CallCache
from data.chat.client import ChatClient, Patience
from data.chat.window import Usage, Window
from data.errors import EmptySourceError
from data.types import Page
from sft.gates import Gate
from sft.mixture import Mixture
from sft.teacher import flows
from sft.teacher.estimate import Estimate, calls, estimated
from sft.teacher.flows import Lesson, Outcome, Settings
from sft.teacher.plan import Plan
from sft.types import NO_PAGES, Reject, Sample


@dataclass(frozen=True)
class Asking:
    """How to ask. ``cache``: file that keeps the replies. ``max_length``: of a conversation, in tokens."""

    url: str
    cache: Path
    concurrency: int = 32
    key: str = ""
    limit: int = 0
    max_length: int = 4096
    chunk_tokens: int = 220
    whole_tokens: int = 660
    patience: Patience = field(default_factory=Patience)


Progress = Callable[[Usage, int], None]
"""(what was done, calls in all as far as can be told)."""


class TeacherWriter:
    """``settings.model`` "" takes the server's only model. ``gates`` turn samples down before the judge is asked.

    ``announce`` is told the estimate before anything but one call is made; ``progress`` after each call.
    """

    def __init__(
        self,
        asking: Asking,
        settings: Settings,
        mixture: Mixture,
        gates: Sequence[Gate],
        announce: Callable[[Estimate], None] = lambda _: None,
        progress: Progress = lambda *_: None,
    ) -> None:
        self.asking = asking
        self.settings = settings
        self.usage = Usage(settings.model)
        self.notes: list[str] = []
        self._mixture = mixture
        self.gates = gates
        self._announce = announce
        self._progress = progress

    @property
    def name(self) -> str:
        return f"teacher:{self.settings.model}"

    def drafts(self, pages: Sequence[Page], only: frozenset[str] | None = None) -> Iterator[Sample | Reject]:
        """All samples, and what did not become one; nothing without pages. EngineError, ConfigError, DiskFullError."""
        self.notes = [] if pages else ["There are no synced pages: the teacher was not asked."]
        if pages:
            yield from asyncio.run(self._taught(self._plan(pages, only)))

    def estimate(self, pages: Sequence[Page], only: frozenset[str] | None = None) -> Estimate:
        """What ``drafts`` would cost; makes no call. Raises EmptySourceError."""
        if not pages:
            raise EmptySourceError(NO_PAGES)
        plan, cache = self._plan(pages, only), CallCache(self.asking.cache)
        try:
            found = asyncio.run(self._found(plan, cache))
            return self._estimated(plan, cache, found)
        finally:
            cache.close()

    def _plan(self, pages: Sequence[Page], only: frozenset[str] | None) -> Plan:
        asking = self.asking
        return Plan(
            pages,
            self._mixture,
            self.settings.rewrites,
            asking.limit,
            asking.max_length,
            asking.chunk_tokens,
            asking.whole_tokens,
            only,
        )

    async def _taught(self, plan: Plan) -> list[Outcome]:
        asking = self.asking
        async with ChatClient(asking.url, self.settings.model, asking.key, asking.patience) as client:
            await client.check()
            self.settings = replace(self.settings, model=client.model)
            cache = CallCache(asking.cache)
            try:
                return await self._asked(plan, client, cache)
            finally:
                cache.close()

    async def _found(self, plan: Plan, cache: CallCache) -> Usage:
        """What of the plan the cache answers."""
        window = Window(self.settings.model, cache, None, 0)
        if cache.speed(self.settings.model):  # else there is nothing of this model in it
            await self._walked(plan, window, 1)
        return window.usage

    def _estimated(self, plan: Plan, cache: CallCache, found: Usage) -> Estimate:
        return estimated(plan, self.settings, found, cache.speed(self.settings.model), self.asking.concurrency)

    async def _asked(self, plan: Plan, client: ChatClient, cache: CallCache) -> list[Outcome]:
        expected = [calls(job, self.settings) for job in plan.jobs]
        total, model = sum(expected), self.settings.model
        window = Window(model, cache, client, self.asking.concurrency, lambda usage: self._progress(usage, total))
        self.usage = window.usage

        def finished(job: int) -> None:
            nonlocal total
            total += window.of_job[job] - expected[job]

        found = await self._found(plan, cache)
        async with window:
            if plan.jobs and not cache.speed(model):  # the first call tells how fast the teacher is
                await flows.probe(Lesson(self.settings, window, plan, (), 0), plan.jobs[0])
                window.of_job.clear()
            self._announce(self._estimated(plan, cache, found))
            return await self._walked(plan, window, 2 * self.asking.concurrency, finished)

    async def _walked(
        self, plan: Plan, window: Window, lanes: int, finished: Callable[[int], None] = lambda _: None
    ) -> list[Outcome]:
        """Every job, ``lanes`` of them open at a time: enough that calls are always ready."""
        found: list[list[Outcome]] = [[] for _ in plan.jobs]
        jobs = iter(enumerate(plan.jobs))

        async def lane() -> None:
            for at, job in jobs:
                lesson = Lesson(self.settings, window, plan, self.gates, at)
                found[at] = await flows.run(lesson, job)
                finished(at)

        tasks = [asyncio.create_task(lane()) for _ in range(lanes)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [outcome for outcomes in found for outcome in outcomes]
