"""When an answer takes its engine, and when it lets go of it: whoever stops reading, wherever the answer stands then,
ends the work behind it there and then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from data.home import Home
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.api.chat import EventStream
from serving.api.wire import CompletionWriter
from serving.arms.events import Started, Text
from serving.arms.rag import RagArm
from serving.arms.turn import Turn
from serving.config import ServingConfig
from serving.exchange import Choices, Exchange
from tests.fakes import ScriptedEngine
from tests.test_serving_gateway import PAGES, PORT_QUESTION


async def test_closing_an_answer_has_ended_its_engines_stream(tmp_path: Path) -> None:
    home = Home(tmp_path)
    build_index(PAGES, home, RagConfig())
    engine = ScriptedEngine("It is port 7860 [1]. " * 100)
    arm = RagArm(LiveIndex(home, RagConfig()), lambda: engine, ServingConfig())
    answer = arm.answer(Turn(PORT_QUESTION))
    async for event in answer:
        if isinstance(event, Text):
            break
    await answer.aclose()
    assert engine.closed_early == 1  # at once, not when the garbage collector comes to it


@pytest.mark.parametrize("begun", [False, True])
async def test_a_stream_that_cannot_be_sent_ends_the_answer(begun: bool) -> None:
    closed: list[bool] = []

    async def said() -> Choices:
        try:
            yield 0, Started("q", rewritten=False)
            yield 0, Text("a")
        finally:
            closed.append(True)

    exchange = Exchange("rag", Turn("q"))
    choices = exchange.follow(said())
    stream = EventStream(await anext(choices), choices, CompletionWriter(exchange, ""))

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" or not begun:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await stream({"type": "http", "asgi": {"spec_version": "2.4"}}, None, send)  # type: ignore[arg-type]
    assert closed
    assert exchange.cancelled


async def test_the_engine_is_the_one_that_is_there_after_the_search(tmp_path: Path) -> None:
    """A checkpoint may be replaced while a question is rewritten; the old engine is gone soon after."""
    home = Home(tmp_path)
    build_index(PAGES, home, RagConfig())
    old, new = ScriptedEngine("Which port does the gateway listen on?"), ScriptedEngine("7860 [1].")
    engines = iter([old, new])
    arm = RagArm(LiveIndex(home, RagConfig()), lambda: next(engines), ServingConfig())
    turn = Turn("and which port is it?", ({"role": "user", "content": PORT_QUESTION},))
    said = "".join([event.text async for event in arm.answer(turn) if isinstance(event, Text)])
    assert said.startswith("7860")
    assert (len(old.asked), len(new.asked)) == (1, 1)
