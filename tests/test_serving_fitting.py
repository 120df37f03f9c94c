"""Prompts that fit the engine: what goes first, what stays, and what happens when the engine still says no."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from data.errors import PromptTooLongError
from data.prompts import Message, rag_messages
from rag.expand import Section
from serving.arms.findings import Truncated
from serving.arms.fitting import Fitted, fitted
from serving.arms.generation import Asking
from serving.arms.turn import Clock
from serving.engines.delta import EngineDelta
from serving.engines.engine import Engine
from tests.fake_engine import GOOD, FakeEngineServer

SECTIONS = [Section("id", f"Page {n}", (), "word " * 100, 0, 500) for n in range(1, 5)]
HISTORY = [Message(role=role, content=f"{role} said something " * 20) for role in ("user", "assistant") * 3]


def build(sections: Sequence[Section], history: Sequence[Message]) -> list[Message]:
    return rag_messages("Which port?", sections, history)


def fit(context: int | None, tokens: int | None = None, max_tokens: int = 100) -> Fitted:
    return fitted(build, SECTIONS, HISTORY, {"max_tokens": max_tokens}, context, tokens)


def test_what_fits_stays() -> None:
    for context in (None, 100_000):
        assert fit(context).truncated is None
        assert len(fit(context).messages) == len(HISTORY) + 2


def test_the_oldest_messages_go_first_then_the_last_passages() -> None:
    whole = fit(None).tokens
    little = fit(whole + 100 + 64 - 1)
    assert little.truncated == Truncated(history=2, passages=0)
    assert little.messages[1] == HISTORY[2]
    much = fit(400)
    assert much.truncated
    assert much.truncated.history == len(HISTORY)
    assert 0 < much.truncated.passages < len(SECTIONS)
    assert much.tokens <= 400 - 100 - 64
    assert [section.title for section in much.sections] == ["Page 1", "Page 2", "Page 3"][: len(much.sections)]


def test_a_passage_and_the_question_stay_whatever_happens() -> None:
    least = fit(10)
    assert len(least.sections) == 1
    assert least.messages[-1]["content"] == "Which port?"


def test_a_long_conversation_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def estimate(text: str) -> int:
        measured.append(text)
        return len(text)

    monkeypatch.setattr("serving.arms.fitting.estimate_tokens", estimate)
    said = [Message(role="user", content=f"message {n} " * 40) for n in range(400)]
    found = fitted(lambda _, before: rag_messages("Which port?", (), before), (), said, {}, 2000)
    assert found.truncated
    assert found.truncated.history > 380
    assert len(measured) == 402  # each message, the system prompt and the question


def test_the_answer_gets_half_of_the_context_at_most() -> None:
    assert fit(1000, max_tokens=4000).sampling["max_tokens"] == 500
    assert fit(1000, max_tokens=100).sampling["max_tokens"] == 100
    assert fit(None, max_tokens=4000).sampling["max_tokens"] == 4000


class Narrow(Engine):
    """Takes prompts of at most ``limit`` characters, and says so only when it is asked."""

    def __init__(self, limit: int) -> None:
        super().__init__("narrow", "http://nowhere/v1")
        self.limit = limit
        self.asked: list[int] = []

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta]:
        self.asked.append(sum(len(message["content"]) for message in messages))
        if self.asked[-1] > self.limit:
            raise PromptTooLongError("maximum context length is 10 tokens")
        yield EngineDelta(text="Yes.", finish_reason="stop")


async def asked(engine: Engine) -> tuple[str, Fitted]:
    stream = Asking(engine, lambda tokens: fit(engine.context, tokens), 5.0, Clock())
    text = "".join([event.text async for event in stream.events()])
    return text, stream.asked


async def test_an_engine_that_turns_a_prompt_down_is_asked_once_more_with_less() -> None:
    whole = sum(len(message["content"]) for message in fit(None).messages)
    engine = Narrow(int(whole * 0.8))
    text, prompt = await asked(engine)
    assert text == "Yes."
    assert len(engine.asked) == 2
    assert prompt.truncated
    assert prompt.truncated.history > 0


async def test_but_only_once() -> None:
    engine = Narrow(10)
    with pytest.raises(PromptTooLongError):
        await asked(engine)
    assert len(engine.asked) == 2


async def test_what_an_engine_says_of_its_context_is_known_and_its_refusal_recognised() -> None:
    async with FakeEngineServer(script=GOOD, max_model_len=2048) as server:
        engine = Engine("e", server.url, model="served")
        assert await engine.ready()
        assert engine.context == 2048
        server.status = 400
        server.complaint = "This model's maximum context length is 2048 tokens. However, you requested 9000 tokens."
        with pytest.raises(PromptTooLongError, match="2048"):
            [delta async for delta in engine.chat([])]
        await engine.aclose()
