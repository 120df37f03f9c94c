"""How much one key may do: rates as token buckets, answers at the same time. In memory; shared.py has the same in
PostgreSQL for several gateways.

A bucket holds one minute's worth and refills steadily. Requests are taken out before they are served; tokens are
counted afterwards, so their bucket may fall below zero, and nothing more is begun until it has refilled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Level:
    """A bucket after it was asked. ``wait_s``: until the same is allowed, ``full_s``: until it is full (seconds)."""

    allowed: bool
    left: float
    wait_s: float
    full_s: float


class Limiter(Protocol):
    """Buckets and running answers by name. ``waits``: whether it has to ask somebody."""

    waits: bool

    async def take(self, name: str, per_minute: int, cost: float = 1.0, need: float = 1.0) -> Level:
        """Take ``cost`` out of a bucket that holds at least ``need``; otherwise nothing is taken."""

    async def enter(self, name: str, most: int) -> str:
        """Begin an answer: a ticket, or "" when ``most`` are running."""

    async def leave(self, name: str, ticket: str) -> None:
        """End the answer that ``enter`` gave this ticket for."""


def level_of(held: float, per_minute: int, cost: float, need: float) -> Level:
    """What taking ``cost`` out of a bucket that holds ``held`` comes to."""
    rate = per_minute / 60
    allowed = held >= need
    left = held - cost if allowed else held
    return Level(allowed, left, max(0.0, need - held) / rate, max(0.0, per_minute - left) / rate)


class MemoryLimiter:
    """For one gateway. ``clock``: seconds, monotonic."""

    waits = False
    _SWEEP_AT = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float, float]] = {}  # name -> held, as of when, full again when
        self._running: dict[str, int] = {}

    async def take(self, name: str, per_minute: int, cost: float = 1.0, need: float = 1.0) -> Level:
        now = self._clock()
        held, then, _ = self._buckets.get(name, (float(per_minute), now, now))
        held = min(float(per_minute), held + (now - then) * per_minute / 60)
        level = level_of(held, per_minute, cost, need)
        self._buckets[name] = (level.left, now, now + level.full_s)
        if len(self._buckets) > self._SWEEP_AT:
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket[2] > now}
        return level

    async def enter(self, name: str, most: int) -> str:
        running = self._running.get(name, 0)
        if running >= most:
            return ""
        self._running[name] = running + 1
        return "here"

    async def leave(self, name: str, ticket: str) -> None:
        running = self._running.pop(name, 0)
        if running > 1:
            self._running[name] = running - 1
