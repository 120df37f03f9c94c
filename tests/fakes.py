"""Fakes that implement the real interfaces. Scripted, deterministic, no network beyond loopback."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from data.errors import EngineError
from data.prompts import Message
from serving.engines.delta import EngineDelta
from serving.engines.engine import Engine
from serving.engines.trust import Trust


class ScriptedEngine(Engine):
    """An engine that says ``text`` in pieces of ``cut`` characters, whatever it is asked; remembers what it was asked.

    ``fail_after``: break off with an EngineError after that many pieces (0: before the first). ``logprobs``: of the
    pieces, the last one for all further ones.
    """

    def __init__(
        self,
        text: str = "",
        cut: int = 5,
        fail_after: int | None = None,
        name: str = "base",
        logprobs: Sequence[float] = (),
        quote_below: float = 0.0,
        refuse_below: float = 0.05,
        rewrites: bool = True,
    ) -> None:
        self.trust = Trust(quote_below, refuse_below, rewrites)
        self.logprobs = logprobs
        self.name = name
        self.text = text
        self.cut = cut
        self.fail_after = fail_after
        self.asked: list[Sequence[Message]] = []
        self.closed_early = 0
        self.active = 0  # answers under way, as the real one counts them

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        self.asked.append(messages)
        pieces = [self.text[i : i + self.cut] for i in range(0, len(self.text), self.cut)]
        done = False
        try:
            for number, piece in enumerate(pieces):
                if number == self.fail_after:
                    raise EngineError("the engine broke off")
                await asyncio.sleep(0)  # as a socket would
                sure = (self.logprobs[min(number, len(self.logprobs) - 1)],) if self.logprobs else ()
                yield EngineDelta(text=piece, logprobs=sure)
            if self.fail_after is not None and self.fail_after >= len(pieces):
                raise EngineError("the engine broke off")
            usage = {"prompt_tokens": 10, "completion_tokens": len(pieces), "total_tokens": 10 + len(pieces)}
            done = True
            yield EngineDelta(text="", reasoning="", finish_reason="stop", usage=usage)
        finally:
            self.closed_early += not done

    async def ready(self, timeout_s: float = 5.0) -> bool:
        return True

    async def aclose(self) -> None:
        """Nothing to close."""


class ScriptedSupervisor:
    """A supervisor whose engines are given, not started."""

    def __init__(self, *engines: Engine) -> None:
        self.engines = {engine.name: engine for engine in engines}

    async def __aenter__(self) -> ScriptedSupervisor:
        return self

    async def __aexit__(self, *_: object) -> None:
        for engine in self.engines.values():
            await engine.aclose()

    def engine(self, name: str) -> Engine | None:
        return self.engines.get(name)

    def states(self) -> list[Any]:
        from serving.engines.supervisor import EngineState

        return [EngineState(name, "external", "") for name in self.engines]


class HashedWords:
    """An embedder without a model: each word adds to one of 64 dimensions. ``slow``: seconds a text takes."""

    langs: tuple[str, ...] = ()

    def __init__(self, name: str = "hashed-words", slow: float = 0.0) -> None:
        self.name = name
        self.slow = slow
        self.embedded: list[str] = []

    @property
    def fingerprint(self) -> str:
        return f"fake-{self.name}"

    def documents(self, texts: Sequence[str]) -> Any:
        import numpy as np

        time.sleep(self.slow * len(texts))
        self.embedded.extend(texts)
        return np.stack([self._vector(text) for text in texts])

    def query(self, text: str) -> Any:
        return self._vector(text)

    def _vector(self, text: str) -> Any:
        import numpy as np

        vector = np.full(64, 1e-3, dtype=np.float32)
        for word in text.lower().split():
            vector[zlib.crc32(word.encode()) % 64] += 1
        return vector / np.linalg.norm(vector)
