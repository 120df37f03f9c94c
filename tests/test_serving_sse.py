"""Server-sent events out of bytes, split anywhere; one timer for the waits of a stream."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.delta import EngineDelta, joined
from serving.engines.patience import Patience
from serving.engines.sse import MAX_LINE, EventReader, LineTooLong

STREAM = b": hi\n\nevent: x\ndata: one\n\ndata:two\r\ndata: three\r\n\r\nid: 4\n\ndata: last"
EVENTS = [b"one", b"two\nthree", b"last"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_bytes_may_be_split_anywhere(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    reader = EventReader()
    found = [data for start, end in pairwise(ends) for data in reader.feed(STREAM[start:end])]
    assert found + reader.close() == EVENTS


def test_an_endless_line() -> None:
    with pytest.raises(LineTooLong):
        EventReader().feed(b"data: " + b"x" * MAX_LINE)


def test_only_neighbouring_text_is_joined() -> None:
    end = EngineDelta(finish_reason="stop")
    thought = EngineDelta(reasoning="hm")
    said = [EngineDelta("a"), EngineDelta("b"), thought, EngineDelta("c"), EngineDelta("d"), end]
    assert list(joined(said)) == [EngineDelta("ab"), thought, EngineDelta("cd"), end]


async def test_each_wait_has_its_time() -> None:
    patience = Patience(each_s=0.2)
    for _ in range(4):
        with patience:
            await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(5)
    with patience:  # and goes on to work
        await asyncio.sleep(0)
    patience.close()


async def test_a_shorter_time_holds_from_the_next_wait_on() -> None:
    patience = Patience(each_s=60)
    with patience:
        await asyncio.sleep(0)
    patience.each_s = 0.05
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(5)
    patience.close()


async def test_one_end_for_all_waits_even_when_it_is_past() -> None:
    patience = Patience(until=asyncio.get_running_loop().time() + 0.1)
    with patience:
        await asyncio.sleep(0.05)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(5)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(5)


async def test_an_end_that_is_past_leaves_nothing_behind_for_the_next_wait() -> None:
    patience = Patience(until=asyncio.get_running_loop().time() - 1)
    with pytest.raises(TimeoutError), patience:
        pass  # as where what is waited for is there already
    await asyncio.sleep(0)


async def test_nobody_is_interrupted_between_waits() -> None:
    patience = Patience(each_s=0.05)
    with patience:
        await asyncio.sleep(0)
    await asyncio.sleep(0.15)
    with patience:
        await asyncio.sleep(0)
    patience.close()


async def test_two_limits_at_once_and_a_cancel_from_outside() -> None:
    outer, inner = Patience(each_s=0.05), Patience(each_s=0.05)
    with pytest.raises(TimeoutError), outer, inner:
        await asyncio.sleep(5)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    async def waits() -> None:
        with Patience(each_s=60):
            await asyncio.sleep(60)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
