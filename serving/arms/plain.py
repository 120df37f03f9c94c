"""Arms that answer from what a model knows: ``base``, and ``sft`` as it was trained. No passages, no sources.

What they say is checked afterwards, sentence by sentence, against the docs (verify.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from data.checkpoints import Manifest
from data.errors import EngineError
from data.prompts import Message, base_messages, prompt_lang, sft_messages
from rag.expand import Section
from serving.arms.events import Event, Finished, Started, Text
from serving.arms.findings import Sentence, Stale
from serving.arms.fitting import Fitted, fitted
from serving.arms.generation import Asking
from serving.arms.reply import is_refusal
from serving.arms.retrieval import Found
from serving.arms.turn import Clock, EngineOf, Turn
from serving.arms.verify import Verifier
from serving.config import ServingConfig
from serving.engines.engine import Engine


class PlainArm(ABC):
    """A model alone. What it is asked, and which engine, is a subclass's. ``verifier``: None checks nothing."""

    name: str

    def __init__(self, config: ServingConfig, verifier: Verifier | None = None) -> None:
        self._config = config
        self._verifier = verifier if self.name in config.verify else None

    @abstractmethod
    def engine(self) -> Engine:
        """The engine to ask; EngineError when there is none."""

    @abstractmethod
    def prompt(self, turn: Turn, history: Sequence[Message]) -> list[Message]:
        """What it is asked."""

    @property
    def trained_on(self) -> Mapping[str, str]:
        """url -> content hash of the pages that the model was trained on."""
        return {}

    async def answer(self, turn: Turn, found: Found | None = None) -> AsyncGenerator[Event]:
        clock = Clock()
        engine, trained_on = self.engine(), self.trained_on

        def build(_: Sequence[Section], history: Sequence[Message]) -> list[Message]:
            return self.prompt(turn, history)

        def fit(tokens: int | None) -> Fitted:
            return fitted(build, (), turn.history, turn.sampling, engine.context, tokens)

        stream = Asking(engine, fit, self._config.answer_timeout_s, clock)
        yield _started(turn, found)
        said: list[str] = []
        async with aclosing(stream.events()) as events:
            async for event in events:
                said += [event.text] if isinstance(event, Text) else []
                yield event
        text = "".join(said)
        refused = is_refusal(text, turn.lang)
        checked = await self._checked(turn, "" if refused else text, found, trained_on, clock)
        clock.once("total")
        yield Finished(
            arm=self.name,
            refused=refused,
            finish_reason=stream.finish_reason,
            usage=stream.usage,
            timings_ms=clock.timings,
            support=checked.sentences,
            stale=checked.stale,
            truncated=stream.asked.truncated,
        )

    async def _checked(
        self, turn: Turn, text: str, found: Found | None, trained_on: Mapping[str, str], clock: Clock
    ) -> _Checked:
        if self._verifier is None or not text.strip():
            return _Checked()
        clock.start()
        checked = _Checked(*await self._verifier.support(turn, text, found, trained_on))
        clock.lap("verify")
        return checked


@dataclass(frozen=True)
class _Checked:
    sentences: tuple[Sentence, ...] | None = None
    stale: tuple[Stale, ...] = ()


def _started(turn: Turn, found: Found | None) -> Started:
    """``found`` is shown where it was searched for: beside another voice."""
    return Started(found.query, found.rewritten, found.translated) if found else Started(turn.question, False)


class BaseArm(PlainArm):
    """The base model: what it knows by itself."""

    name = "base"

    def __init__(self, engine_of: EngineOf, config: ServingConfig, verifier: Verifier | None = None) -> None:
        super().__init__(config, verifier)
        self._engine_of = engine_of

    def engine(self) -> Engine:
        engine = self._engine_of()
        if engine is None:
            raise EngineError("no engine is ready: the 'base' model needs one; see [[serving.engines]] in docduet.toml")
        return engine

    def prompt(self, turn: Turn, history: Sequence[Message]) -> list[Message]:
        return base_messages(turn.question, history, turn.lang, turn.instructions)


class Tuned(Protocol):
    """A fine-tuned model: its engine, None while there is none to ask (``problem`` may say why), and its manifest,
    None where the model was not exported by DocDuet."""

    @property
    def manifest(self) -> Manifest | None: ...
    @property
    def problem(self) -> str: ...
    def engine(self) -> Engine | None: ...


@dataclass(frozen=True)
class TunedElsewhere:
    """A fine-tuned model behind an engine called ``sft``: what it was trained on is not known."""

    engine_of: EngineOf
    manifest: Manifest | None = None
    problem: str = "the engine called 'sft' does not answer"

    def engine(self) -> Engine | None:
        return self.engine_of()


class SftArm(PlainArm):
    """The fine-tuned model, asked as it was trained: its own system prompt."""

    name = "sft"

    def __init__(self, tuned: Tuned, config: ServingConfig, verifier: Verifier | None = None) -> None:
        super().__init__(config, verifier)
        self._tuned = tuned

    def engine(self) -> Engine:
        engine = self._tuned.engine()
        if engine is None:
            raise EngineError(f"the 'sft' model is not ready: {self._tuned.problem or 'its engine is still starting'}")
        return engine

    def prompt(self, turn: Turn, history: Sequence[Message]) -> list[Message]:
        manifest = self._tuned.manifest
        trained = manifest.system_prompt.get(prompt_lang(turn.lang), "") if manifest else self._config.sft_system_prompt
        return sft_messages(turn.question, history, turn.lang, turn.instructions or trained)

    @property
    def trained_on(self) -> Mapping[str, str]:
        return self._tuned.manifest.pages if self._tuned.manifest else {}
