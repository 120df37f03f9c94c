"""Several arms side by side: events as they come, failures that stay with their own choice, nothing left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from data.errors import EngineError, NoIndexError, PromptTooLongError
from serving.arms.compare import BROKE_OFF, HELD, SILENT, side_by_side
from serving.arms.events import Event, Failed, Finished, Started, Text
from serving.arms.retrieval import Found
from serving.arms.turn import Turn
from serving.errors import ApiError
from serving.exchange import Answer

TURN = Turn("Which port?")


class Speaker:
    """An arm that says its words, waiting for ``gate`` before each; ``error`` is what it ends with."""

    def __init__(
        self, name: str, words: Sequence[str], error: Exception | None = None, gate: asyncio.Event | None = None
    ) -> None:
        self.name = name
        self.words = words
        self.error = error
        self.gate = gate
        self.said = 0
        self.closed = False

    async def answer(self, turn: Turn, found: Found | None = None) -> AsyncGenerator[Event]:
        try:
            if self.words:
                yield Started(turn.question, False)
            for word in self.words:
                if self.gate:
                    await self.gate.wait()
                await asyncio.sleep(0)
                self.said += 1
                yield Text(word)
            if self.error:
                raise self.error
            yield Finished(self.name)
        finally:
            self.closed = True


async def collect(*arms: Speaker, turn: Turn = TURN) -> dict[int, Answer]:
    answers: dict[int, Answer] = {}
    async with aclosing(side_by_side(arms, turn, None)) as choices:
        async for index, event in choices:
            answers.setdefault(index, Answer()).add(event)
    return answers


async def test_both_answer_at_the_same_time() -> None:
    gate = asyncio.Event()
    slow, quick = Speaker("slow", ["a", "b"], gate=gate), Speaker("quick", ["1", "2", "3"])
    seen = []
    async with aclosing(side_by_side([slow, quick], TURN, None)) as choices:
        async for index, event in choices:
            seen.append((index, event))
            if isinstance(event, Finished) and event.arm == "quick":
                gate.set()
    assert [event.text for index, event in seen if index == 1 and isinstance(event, Text)] == ["1", "2", "3"]
    assert seen.index((1, Finished("quick"))) < seen.index((0, Text("a")))
    assert seen[-1] == (0, Finished("slow"))


@pytest.mark.parametrize(
    ("words", "text"), [([], SILENT["en"]), (["half "], f"half \n\n{BROKE_OFF['en']}")], ids=["at once", "half way"]
)
async def test_one_that_fails_leaves_the_other_whole(words: list[str], text: str) -> None:
    failing, whole = Speaker("sft", words, EngineError("no engine")), Speaker("rag", ["The ", "port."])
    answers = await collect(failing, whole)
    assert answers[0].failed == Failed("sft", "no engine", "engine_unavailable")
    assert answers[0].text == text
    assert answers[0].started
    assert answers[1].finished == Finished("rag")
    assert answers[1].text == "The port."


async def test_it_says_so_in_the_questions_language() -> None:
    answers = await collect(
        Speaker("rag", ["端口"]), Speaker("sft", [], EngineError("x")), turn=Turn("哪个端口？", lang="zh")
    )
    assert answers[1].text == SILENT["zh"]


async def test_what_nobody_expected_stays_with_its_choice(caplog: pytest.LogCaptureFixture) -> None:
    answers = await collect(Speaker("rag", ["fine"]), Speaker("sft", ["half"], ZeroDivisionError("secret")))
    assert answers[0].text == "fine"
    assert answers[1].failed
    assert answers[1].failed.code == "internal_error"
    assert "secret" not in answers[1].failed.message
    assert "secret" in caplog.text


async def test_none_that_can_answer_is_an_error() -> None:
    with pytest.raises(EngineError, match=r"rag: no engine; sft: it still starts"):
        await collect(Speaker("rag", [], EngineError("no engine")), Speaker("sft", [], EngineError("it still starts")))
    with pytest.raises(ApiError, match=r"rag: 9 tokens; sft: 8 tokens") as refused:
        await collect(
            Speaker("rag", [], PromptTooLongError("9 tokens")), Speaker("sft", [], PromptTooLongError("8 tokens"))
        )
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")
    with pytest.raises(NoIndexError):
        await collect(Speaker("rag", [], NoIndexError("no index")), Speaker("sft-rag", [], NoIndexError("no index")))


async def test_a_failure_waits_for_the_other_to_speak() -> None:
    gate = asyncio.Event()
    early, late = Speaker("sft", [], EngineError("no engine")), Speaker("rag", ["word"], gate=gate)
    seen = []
    async with aclosing(side_by_side([early, late], TURN, None)) as choices:
        async for index, event in choices:
            seen.append((index, type(event)))
            gate.set()
    assert seen == [(1, Started), (1, Text), (0, Started), (0, Text), (0, Failed), (1, Finished)]


async def test_closing_ends_both() -> None:
    left, right = Speaker("rag", ["word"] * 10_000), Speaker("sft", ["word"] * 10_000)
    async with aclosing(side_by_side([left, right], TURN, None)) as choices:
        await anext(choices)
    assert (left.closed, right.closed) == (True, True)
    assert len(asyncio.all_tasks()) == 1


async def test_a_slow_reader_slows_the_arms() -> None:
    left, right = Speaker("rag", ["word"] * 1000), Speaker("sft", ["word"] * 1000)
    async with aclosing(side_by_side([left, right], TURN, None)) as choices:
        await anext(choices)
        await asyncio.sleep(0.05)
        assert left.said + right.said <= HELD + 4
