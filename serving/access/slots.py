"""Answers at the same time, for the whole gateway, and the queue in front of them.

First come, first served within a key; keys take turns, and no key may hold more than half of the places to wait, so
that one busy key delays the others by one answer at most.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from serving.errors import ApiError

FALLBACK_RETRY_S = 5.0
"""Retry-After before any answer has told how long answers take."""


class Slots:
    """``most`` answers at once, ``places`` to wait in, for at most ``wait_s`` seconds."""

    def __init__(self, most: int, places: int, wait_s: float) -> None:
        self._most = most
        self._places = places
        self._wait_s = wait_s
        self._mean_s = FALLBACK_RETRY_S
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.running = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def acquire(self, key: str, share: float = 0.5) -> None:
        """Wait for a slot. ApiError 503 with Retry-After when there is no place to wait, or it took too long.

        ``share``: of the places to wait that this key may hold.
        """
        if self.running < self._most and not self._waiting:
            self.running += 1
            return
        own = len(self._waiting.get(key, ()))
        if self.waiting >= self._places or own >= max(1, int(self._places * share)):
            message = "too many questions are waiting: try again soon"
            raise ApiError(message, 503, "overloaded", retry_after_s=self._soon())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            self._give_up(key, turn)
            if isinstance(error, TimeoutError):
                message = f"no answer could begin within {self._wait_s:g} s: try again soon"
                raise ApiError(message, 503, "overloaded", retry_after_s=self._soon()) from None
            raise

    def release(self, took_s: float) -> None:
        """Give a slot back after ``took_s`` seconds; the next in the queue takes it over."""
        self._mean_s += 0.1 * (took_s - self._mean_s)
        self.running -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting and self.running < self._most:
            key, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[key] = turns  # behind the other keys
            if not turn.done():
                self.running += 1
                turn.set_result(None)

    def _give_up(self, key: str, turn: asyncio.Future[None]) -> None:
        """Take one who waited out of the queue; a slot that was given in the same moment is passed on."""
        turns = self._waiting.get(key)
        if turns and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[key]
        elif turn.done() and not turn.cancelled():
            self.running -= 1
            self._next()

    def _soon(self) -> float:
        """When a place is likely to be free (seconds)."""
        return min(max(1.0, self._mean_s * (self.waiting + 1) / self._most), max(1.0, self._wait_s))
