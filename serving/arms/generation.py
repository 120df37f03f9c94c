"""One engine's answer, watched: a deadline, thinking kept apart, usage and finish reason remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from data.errors import EngineError
from data.prompts import Message
from data.thinking import ThinkSplitter
from serving.arms.events import Reasoning, Text
from serving.arms.turn import Clock
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
        self.finish_reason = "stop"
        self.usage: dict[str, int] | None = None

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
                for event in self._pieces(delta.reasoning, *self._split.feed(delta.text)):
                    yield event
            for event in self._pieces("", *self._split.close()):
                yield event
        finally:
            patience.close()
            await self._stream.aclose()

    def _pieces(self, reasoning: str, thinking: str, answer: str) -> list[Text | Reasoning]:
        pieces: list[Text | Reasoning] = []
        if reasoning or thinking:
            pieces.append(Reasoning(reasoning + thinking))
        if answer:
            self._clock.once("first_token")
            pieces.append(Text(answer))
        return pieces
