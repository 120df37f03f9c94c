"""Fewer, later values: what redraws a page while an answer streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

REFRESH_S = 0.05  # a page is redrawn at most this often: 20 times a second reads as steady
SHARE_S = 0.025  # and all pages together: a redraw takes some 8 ms of the processor, others' first words need it too
REST_S = 1.0  # but no page waits longer


class Pace:
    """How often the pages of one server are redrawn: the more answers stream at once, the less often each."""

    def __init__(self) -> None:
        self.streams = 0

    @contextmanager
    def stream(self) -> Iterator[None]:
        """One more answer streams."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def rest(self) -> float:
        """Seconds from one redraw to the next."""
        return min(REST_S, max(REFRESH_S, SHARE_S * self.streams))


async def paced(values: AsyncIterator[T], rest: Callable[[], float]) -> AsyncIterator[T]:
    """The newest of ``values``, the next one ``rest()`` seconds later; the first at once, the last always.

    Values that were overtaken are dropped, so each must stand for all before it. Closing this stops the source.
    """
    latest: list[T] = []
    news = asyncio.Event()

    async def pump() -> None:
        try:
            async for value in values:
                latest[:] = [value]
                news.set()
        finally:
            news.set()

    pumping = asyncio.create_task(pump())
    try:
        while True:
            await news.wait()
            news.clear()
            if latest:
                yield latest.pop()
            elif pumping.done():
                break
            await asyncio.sleep(0 if pumping.done() else rest())
            if pumping.done():
                news.set()
        await pumping  # raises what the source raised
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
