"""Cutting answers off: in the same process, task by task, where a real shutdown cannot be steered so finely."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serving.arms.events import Finished, Started, Text
from serving.arms.turn import Turn
from serving.errors import ApiError
from serving.exchange import Choices, Exchange, Route
from serving.ops.drain import Drain


async def talking(closed: list[str], *steps: Any) -> Choices:
    """Says strings, sleeps floats."""
    try:
        yield 0, Started("q", rewritten=False)
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield 0, Text(step)
        yield 0, Finished("rag")
    finally:
        closed.append("closed")


async def follow(drain: Drain, exchange: Exchange, choices: Choices) -> list[Any]:
    exchange.route = Route(("rag",))
    return [event async for _, event in exchange.follow(drain.guard(exchange, choices))]


async def test_an_answer_that_waits_is_ended_and_its_source_closed() -> None:
    drain, exchange, closed = Drain(), Exchange("rag", Turn("q")), []  # type: ignore[var-annotated]
    seen: list[Any] = []

    async def read() -> None:
        exchange.route = Route(("rag",))
        async for _, event in exchange.follow(drain.guard(exchange, talking(closed, "a", 60.0))):
            seen.append(event)

    task = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    drain.open = 1
    drain.begin()
    assert not drain.over(0.0)
    with pytest.raises(ApiError, match="shutting down"):
        await task
    assert [type(event).__name__ for event in seen] == ["Started", "Text", "Finished"]
    assert (seen[-1].finish_reason, seen[-1].arm) == ("length", "rag")
    assert closed == ["closed"]
    assert not exchange.cancelled
    assert isinstance(exchange.error, ApiError)
    drain.open = 0
    assert drain.over(0.0)


async def test_a_client_that_leaves_is_not_taken_for_a_shutdown() -> None:
    drain, exchange, closed = Drain(), Exchange("rag", Turn("q")), []  # type: ignore[var-annotated]
    task = asyncio.create_task(follow(drain, exchange, talking(closed, 60.0)))
    await asyncio.sleep(0.01)
    drain.begin()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.cancelled
    assert closed == ["closed"]


async def test_a_client_that_leaves_in_the_same_moment_is_cancelled() -> None:
    drain, exchange = Drain(), Exchange("rag", Turn("q"))
    task = asyncio.create_task(follow(drain, exchange, talking([], 60.0)))
    await asyncio.sleep(0.01)
    drain.open = 1
    drain.begin()
    task.cancel()
    drain.over(0.0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.cancelled


async def test_whole_answers_pass_and_nothing_begins_after_the_cut() -> None:
    drain, exchange = Drain(), Exchange("rag", Turn("q"))
    events = await follow(drain, exchange, talking([], "a", 0.01, "b"))
    assert [type(event).__name__ for event in events] == ["Started", "Text", "Text", "Finished"]
    drain.open = 1
    drain.begin()
    drain.over(0.0)
    with pytest.raises(ApiError, match="shutting down") as refused:
        async with drain.wait():
            pass
    assert refused.value.headers["Retry-After"] == "10"


async def test_what_the_router_says_by_itself_is_ended_too() -> None:
    drain, exchange, seen = Drain(), Exchange("auto", Turn("hello")), []  # type: ignore[var-annotated]
    drain.open = 1

    async def read() -> None:
        async for _, event in exchange.follow(drain.guard(exchange, talking([], "Hello!"))):
            seen.append(event)
            drain.begin()
            drain.over(0.0)

    with pytest.raises(ApiError, match="shutting down"):
        await read()
    assert (seen[-1].arm, seen[-1].degraded) == ("auto", "shutting down")


async def test_who_waits_in_the_queue_is_told() -> None:
    drain = Drain()

    async def wait() -> None:
        async with drain.wait():
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.01)
    drain.open = 1
    drain.begin()
    drain.over(0.0)
    with pytest.raises(ApiError, match="shutting down"):
        await task
