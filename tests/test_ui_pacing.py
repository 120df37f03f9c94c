"""Values thinned out for redrawing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ui.chat.pacing import paced


async def numbers(count: int, closed: list[bool], pause: float = 0.0) -> AsyncIterator[int]:
    try:
        for number in range(count):
            yield number
            await asyncio.sleep(pause)
    finally:
        closed.append(True)


async def test_the_last_value_always_comes_and_overtaken_ones_do_not() -> None:
    seen = [value async for value in paced(numbers(1000, []), 0.02)]
    assert seen[-1] == 999
    assert len(seen) < 1000
    assert seen == sorted(set(seen))


async def test_slow_values_all_come() -> None:
    assert [value async for value in paced(numbers(4, [], pause=0.03), 0.001)] == [0, 1, 2, 3]


async def test_nothing_in_nothing_out() -> None:
    assert [value async for value in paced(numbers(0, []), 0.01)] == []


async def test_what_the_source_raises_comes_after_its_values() -> None:
    async def fails() -> AsyncIterator[int]:
        yield 1
        raise ValueError("oops")

    values = paced(fails(), 0.001)
    assert await anext(values) == 1
    with pytest.raises(ValueError, match="oops"):
        await anext(values)


async def test_closing_stops_the_source() -> None:
    closed: list[bool] = []
    values = paced(numbers(10_000, closed, pause=0.001), 0.001)
    await anext(values)
    await values.aclose()  # type: ignore[attr-defined]
    assert closed == [True]
