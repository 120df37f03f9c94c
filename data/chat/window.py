"""The window: so many calls on their way at any time, over all pages and stages, the longest chains first.

Ready calls wait in one queue. Those with the most steps behind them (questions, then turns of conversations) go before
answers, answers before verdicts, and among equals the earlier page: the window stays full to the end, and an engine's
prefix cache sees the answers of one page together. Before all comes what a killed run had on its way. What the cache
knows takes no place in it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from data.chat.cache import CallCache
from data.chat.calls import Call, Reply, TurnedDown
from data.chat.client import ChatClient
from data.errors import EngineError

FAILED_IN_A_ROW = 8
"""... or once the window's size: then it is the model, not the call."""


FIRST = 100
"""The rank of calls that a killed run had on their way."""


class NotCached(TurnedDown):
    """Only the cache was asked, and it does not know."""


@dataclass
class Usage:
    """What a run took. ``calls`` were made, ``cached`` were known; by kind. Tokens are those of both."""

    model: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    cached: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    new_tokens: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def made(self) -> int:
        """Calls made in this run."""
        return self.calls.total()

    @property
    def known(self) -> int:
        """Calls that the cache answered."""
        return self.cached.total()

    @property
    def done(self) -> int:
        return self.made + self.known

    @property
    def tokens_per_second(self) -> float:
        """Tokens of answers made in this run, per second of it."""
        return self.new_tokens / max(1e-9, time.monotonic() - self.started)

    def told(self, total: int) -> str:
        """For a progress bar: "120 calls, 30 cached, 812 tokens/s, 3 min left"."""
        spent = time.monotonic() - self.started
        left = spent / max(1, self.made) * max(0, total - self.done)
        minutes, seconds = divmod(round(left), 60)
        speed = f"{self.tokens_per_second:,.0f} tokens/s"
        return f"{self.made:,} calls, {self.known:,} cached, {speed}, {minutes}:{seconds:02} left"

    def add(self, call: Call, reply: Reply, cached: bool) -> None:
        (self.cached if cached else self.calls)[call.kind] += 1
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.new_tokens += 0 if cached else reply.completion_tokens

    def as_dict(self) -> dict[str, object]:
        return {
            "model": self.model,
            "calls": dict(self.calls),
            "cached": dict(self.cached),
            "failed": self.failed,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


class Rank(NamedTuple):
    """``behind``: steps that wait for this call. ``job``: the place in the plan."""

    behind: int
    job: int


class Window:
    """An async context manager. ``client`` None: only the cache is asked, and what it lacks raises NotCached."""

    def __init__(
        self,
        model: str,
        cache: CallCache,
        client: ChatClient | None,
        size: int,
        progress: Callable[[Usage], None] = lambda _: None,
    ) -> None:
        self.usage = Usage(model)
        self.of_job: Counter[int] = Counter()
        self._cache = cache
        self._client = client
        self._size = size
        self._progress = progress
        self._queue: asyncio.PriorityQueue[tuple[int, int, int, bytes, Call, asyncio.Future[Reply]]]
        self._queue = asyncio.PriorityQueue()
        self._asked: dict[bytes, asyncio.Future[Reply]] = {}
        self._made: set[bytes] = set()
        self._order = count()
        self._interrupted = cache.interrupted() if client else frozenset()
        self._failures = 0
        self._workers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Window:
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._size if self._client else 0)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.cancel()
        for worker in self._workers:
            with suppress(asyncio.CancelledError):
                await worker

    async def ask(self, call: Call, rank: Rank) -> Reply:
        """The reply, from the cache or the teacher. Raises TurnedDown; EngineError when the teacher is gone."""
        self.of_job[rank.job] += 1
        key = call.key(self.usage.model)
        known = self._cache.get(key)
        if known is not None:
            if key not in self._made:
                self._count(call, known, cached=True)
            return known
        if self._client is None:
            raise NotCached("teacher", "not asked yet")
        waiting = self._asked.get(key)
        if waiting is None:
            waiting = self._asked[key] = asyncio.get_running_loop().create_future()
            behind = FIRST if key in self._interrupted else rank.behind
            self._queue.put_nowait((-behind, rank.job, next(self._order), key, call, waiting))
        return await waiting

    async def _work(self) -> None:
        assert self._client
        while True:
            *_, key, call, answer = await self._queue.get()
            try:
                self._cache.sent(key)
                reply = await self._client.send(call)
                self._cache.put(key, call, self.usage.model, reply)
            except TurnedDown as failure:
                self._settle(answer, self._failed(failure))
            except Exception as error:
                self._settle(answer, error)
            else:
                self._failures = 0
                self._made.add(key)
                self._count(call, reply, cached=False)
                self._settle(answer, reply)
            self._asked.pop(key, None)

    def _settle(self, answer: asyncio.Future[Reply], outcome: Reply | Exception) -> None:
        if answer.done():  # whoever asked is gone
            return
        if isinstance(outcome, Reply):
            answer.set_result(outcome)
        else:
            answer.set_exception(outcome)

    def _failed(self, failure: TurnedDown) -> Exception:
        """This call's failure, or the end of the run when nothing works any more."""
        self.usage.failed += 1
        self._failures += 1
        if self._failures < max(FAILED_IN_A_ROW, self._size):
            return failure
        return EngineError(
            f"{self._failures} calls in a row failed, the last one so: {failure.reason}. What was answered is kept: "
            f"run the same command again when the {self._client.role.name if self._client else 'teacher'} is back"
        )

    def _count(self, call: Call, reply: Reply, cached: bool) -> None:
        self.usage.add(call, reply, cached)
        self._progress(self.usage)
