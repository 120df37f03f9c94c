"""Arms that answer from what a model knows: ``base``, and ``sft`` as it was trained. No passages, no sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing

from data.errors import EngineError
from data.prompts import Message, base_messages, prompt_lang, sft_messages
from serving.arms.events import Event, Finished, Started
from serving.arms.generation import Generation
from serving.arms.retrieval import Found
from serving.arms.turn import Clock, EngineOf, Turn
from serving.config import ServingConfig
from serving.engines.checkpoint import CheckpointEngine
from serving.engines.engine import Engine


class PlainArm(ABC):
    """A model alone. What it is asked, and which engine, is a subclass's."""

    name: str

    def __init__(self, config: ServingConfig) -> None:
        self._config = config

    @abstractmethod
    def ask(self, turn: Turn) -> tuple[Engine, list[Message]]:
        """The engine and the prompt; EngineError when there is none."""

    async def answer(self, turn: Turn, found: Found | None = None) -> AsyncGenerator[Event]:
        clock = Clock()
        engine, messages = self.ask(turn)
        stream = Generation(engine, messages, turn.sampling, self._config.answer_timeout_s, clock)
        yield Started(query=turn.question, rewritten=False)
        async with aclosing(stream.events()) as events:
            async for event in events:
                yield event
        clock.once("total")
        yield Finished(arm=self.name, finish_reason=stream.finish_reason, usage=stream.usage, timings_ms=clock.timings)


class BaseArm(PlainArm):
    """The base model: what it knows by itself."""

    name = "base"

    def __init__(self, engine_of: EngineOf, config: ServingConfig) -> None:
        super().__init__(config)
        self._engine_of = engine_of

    def ask(self, turn: Turn) -> tuple[Engine, list[Message]]:
        engine = self._engine_of()
        if engine is None:
            raise EngineError("no engine is ready: the 'base' model needs one; see [[serving.engines]] in docduet.toml")
        return engine, base_messages(turn.question, turn.history, turn.lang, turn.instructions)


class SftArm(PlainArm):
    """The fine-tuned model, asked as it was trained: its own system prompt."""

    name = "sft"

    def __init__(self, checkpoint: CheckpointEngine, config: ServingConfig) -> None:
        super().__init__(config)
        self._checkpoint = checkpoint

    def ask(self, turn: Turn) -> tuple[Engine, list[Message]]:
        engine, manifest = self._checkpoint.engine(), self._checkpoint.manifest
        if engine is None or manifest is None:
            why = self._checkpoint.problem or "its engine is still starting"
            raise EngineError(f"the 'sft' model is not ready: {why}")
        system = turn.instructions or manifest.system_prompt.get(prompt_lang(turn.lang), "")
        return engine, sft_messages(turn.question, turn.history, turn.lang, system)
