"""Values thinned out for redrawing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from ui.chat.pacing import REFRESH_S, REST_S, Pace, paced


async def numbers(count: int, closed: list[bool], pause: float = 0.0) -> AsyncIterator[int]:
    try:
        for number in range(count):
            yield number
            await asyncio.sleep(pause)
    finally:
        closed.append(True)


async def test_the_last_value_always_comes_and_overtaken_ones_do_not() -> None:
    seen = [value async for value in paced(numbers(1000, []), lambda: 0.02)]
    assert seen[-1] == 999
    assert len(seen) < 1000
    assert seen == sorted(set(seen))


async def test_slow_values_all_come() -> None:
    assert [value async for value in paced(numbers(4, [], pause=0.03), lambda: 0.001)] == [0, 1, 2, 3]


async def test_nothing_in_nothing_out() -> None:
    assert [value async for value in paced(numbers(0, []), lambda: 0.01)] == []


async def test_what_the_source_raises_comes_after_its_values() -> None:
    async def fails() -> AsyncIterator[int]:
        yield 1
        raise ValueError("oops")

    values = paced(fails(), lambda: 0.001)
    assert await anext(values) == 1
    with pytest.raises(ValueError, match="oops"):
        await anext(values)


async def test_closing_stops_the_source() -> None:
    closed: list[bool] = []
    values = paced(numbers(10_000, closed, pause=0.001), lambda: 0.001)
    await anext(values)
    await values.aclose()  # type: ignore[attr-defined]
    assert closed == [True]


def test_pages_are_redrawn_less_often_where_many_answers_stream() -> None:
    pace = Pace()
    with ExitStack() as streams:
        rests = []
        for _ in range(100):
            streams.enter_context(pace.stream())
            rests.append(pace.rest())
        assert rests[0] == REFRESH_S < rests[5] < rests[-1] == REST_S
        assert rests[9] / 10 == pytest.approx(rests[19] / 20)  # as many redraws a second in all
    assert pace.rest() == REFRESH_S


async def test_an_answer_that_is_left_is_not_counted_any_more() -> None:
    pace = Pace()

    async def answer() -> AsyncIterator[int]:
        with pace.stream():
            async for value in paced(numbers(10_000, [], pause=0.001), pace.rest):
                yield value

    values = answer()
    await anext(values)
    assert pace.streams == 1
    await values.aclose()  # type: ignore[attr-defined]
    assert pace.streams == 0
