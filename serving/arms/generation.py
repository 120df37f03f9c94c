"""One engine's answer, watched: a deadline, thinking kept apart, usage and finish reason remembered. Where the prompt
was too long, the engine is asked once more, with less.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from data.errors import EngineError, PromptTooLongError
from data.prompts import Message
from data.thinking import ThinkSplitter
from serving.arms.events import Reasoning, Text
from serving.arms.fitting import LESS, Fitted
from serving.arms.turn import Clock
from serving.engines.delta import EngineDelta
from serving.engines.engine import Engine
from serving.engines.patience import Patience


class Generation:
    """One engine stream with a deadline: thinking apart, usage and finish reason kept, closed when we are."""

    def __init__(
        self, engine: Engine, messages: Sequence[Message], sampling: Mapping[str, Any], timeout_s: float, clock: Clock
    ) -> None:
        self._stream = engine.chat(messages, **sampling)
        self._timeout_s = timeout_s
        self._clock = clock
        self._split = ThinkSplitter()
        self._thinking_off = engine.thinking_off
        self._misplaced = ""
        self.finish_reason = "stop"
        self.usage: dict[str, int] | None = None
        self.logprobs: list[float] = []
        """Of the answer's tokens so far, where the engine tells them."""

    async def events(self) -> AsyncGenerator[Text | Reasoning]:
        patience = Patience(until=asyncio.get_running_loop().time() + self._timeout_s)
        try:
            while True:
                try:
                    with patience:
                        delta = await anext(self._stream)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    raise EngineError(f"no complete answer within {self._timeout_s:g} s") from None
                self.finish_reason = delta.finish_reason or self.finish_reason
                self.usage = delta.usage or self.usage
                self.logprobs += delta.logprobs if delta.text else ()
                for event in self._pieces(self._placed(delta), *self._split.feed(delta.text)):
                    yield event
            for event in self._pieces("", *self._split.close()):
                yield event
            if self._misplaced:
                yield Text(self._misplaced)
        finally:
            patience.close()
            await self._stream.aclose()

    def _placed(self, delta: EngineDelta) -> str:
        """The thinking in a delta. Told not to think, some servers put the answer there and no content at all: it waits
        until some content has come, or none.
        """
        if not self._thinking_off:
            return delta.reasoning
        held, self._misplaced = self._misplaced + delta.reasoning, ""
        if delta.text:
            self._thinking_off = False
            return held
        self._misplaced = held
        return ""

    def _pieces(self, reasoning: str, thinking: str, answer: str) -> list[Text | Reasoning]:
        pieces: list[Text | Reasoning] = []
        if reasoning or thinking:
            pieces.append(Reasoning(reasoning + thinking))
        if answer:
            self._clock.once("first_token")
            pieces.append(Text(answer))
        return pieces


class Asking:
    """An answer to the largest prompt that fits. ``fit`` makes a prompt of at most so many tokens (None: of any length
    that the engine is known to take); ``asked`` is the one that was sent last."""

    def __init__(self, engine: Engine, fit: Callable[[int | None], Fitted], timeout_s: float, clock: Clock) -> None:
        self._engine = engine
        self._fit = fit
        self._timeout_s = timeout_s
        self._clock = clock
        self.asked = fit(None)
        self._stream = self._generation()

    async def events(self) -> AsyncGenerator[Text | Reasoning]:
        until = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with aclosing(self._pieces()) as pieces:
                async for event in pieces:
                    yield event
        except PromptTooLongError:  # before the first piece
            less = self._fit(int(self.asked.tokens * LESS))
            if less.tokens >= self.asked.tokens:
                raise
            self.asked = less
            self._timeout_s = max(0.0, until - asyncio.get_running_loop().time())
            self._stream = self._generation()
            async with aclosing(self._pieces()) as pieces:
                async for event in pieces:
                    yield event

    @property
    def finish_reason(self) -> str:
        return self._stream.finish_reason

    @property
    def usage(self) -> dict[str, int] | None:
        return self._stream.usage

    @property
    def logprobs(self) -> Sequence[float]:
        return self._stream.logprobs

    async def _pieces(self) -> AsyncGenerator[Text | Reasoning]:
        async with aclosing(self._stream.events()) as events:
            async for event in events:
                yield event

    def _generation(self) -> Generation:
        return Generation(self._engine, self.asked.messages, self.asked.sampling, self._timeout_s, self._clock)
