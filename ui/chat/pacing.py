"""Fewer, later values: what redraws a page while an answer streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def paced(values: AsyncIterator[T], seconds: float) -> AsyncIterator[T]:
    """The newest of ``values``, at most one in ``seconds``; the first at once, the last always.

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
            await asyncio.sleep(0 if pumping.done() else seconds)
            if pumping.done():
                news.set()
        await pumping  # raises what the source raised
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
