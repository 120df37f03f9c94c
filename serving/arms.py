"""Arms: whatever turns a conversation into a stream of answer events.

``rag`` searches, then lets the engine answer from the passages, with citations; it refuses what the docs do not hold
and quotes when no engine answers. ``base`` is the engine alone. Arms know nothing of HTTP: serving/wire.py does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from data.citations import CitationStream, Cite, Piece, strip_markers
from data.errors import EngineError
from data.prompts import Message, base_messages, prompt_lang, rag_messages, refusal_text, sft_messages
from data.thinking import ThinkSplitter
from data.types import ANY, Filters
from rag.answerable import Answerability
from rag.expand import Section
from rag.labels import check
from rag.lexical import tokenize
from rag.live import LiveIndex
from rag.retriever import HybridRetriever
from rag.types import Passage
from serving.checkpoint import CheckpointEngine
from serving.config import ServingConfig
from serving.engine import Engine
from serving.events import Cited, Event, Finished, Reasoning, Started, Text
from serving.quoting import as_markdown, marker_lead, quotes
from serving.rewrite import standalone
from serving.sources import Source, source_of
from serving.translate import language_to_search, translation

EngineOf = Callable[[], Engine | None]

BROKE_OFF = {
    "en": "*The model broke off here. The best passages:*",
    "zh": "*模型在此中断。最相关的段落：*",
}


@dataclass(frozen=True)
class Turn:
    """One question with what came before it. ``sampling`` holds only parameters an engine may be given."""

    question: str
    history: tuple[Message, ...] = ()
    instructions: str = ""
    filters: Filters = ANY
    lang: str = "en"
    sampling: Mapping[str, Any] = field(default_factory=dict)


class Arm(Protocol):
    """Raises EngineError (no engine to ask), NoIndexError, IndexMismatchError or UnknownLabelError (a filter that no
    page passes) before the first event only."""

    name: str

    def answer(self, turn: Turn) -> AsyncGenerator[Event]: ...


class Clock:
    """Milliseconds spent, for ``timings_ms``."""

    def __init__(self) -> None:
        self._start = self._lap = time.perf_counter()
        self.timings: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Add the time since the last lap to ``name``."""
        now = time.perf_counter()
        self.timings[name] = round(self.timings.get(name, 0.0) + (now - self._lap) * 1000, 2)
        self._lap = now

    def once(self, name: str) -> None:
        """Record the time since the start as ``name``, the first time it is called."""
        self.timings.setdefault(name, round((time.perf_counter() - self._start) * 1000, 2))


class BaseArm:
    """The engine alone, with no passages: what the model knows by itself."""

    name = "base"

    def __init__(self, engine_of: EngineOf, config: ServingConfig) -> None:
        self._engine_of = engine_of
        self._config = config

    async def answer(self, turn: Turn) -> AsyncGenerator[Event]:
        clock = Clock()
        engine = self._engine_of()
        if engine is None:
            raise EngineError("no engine is ready: the 'base' model needs one; see [[serving.engines]] in docduet.toml")
        messages = base_messages(turn.question, turn.history, turn.lang, turn.instructions)
        stream = _Generation(engine, messages, turn.sampling, self._config.answer_timeout_s, clock)
        yield Started(query=turn.question, rewritten=False, reason="asked for by name")
        async with aclosing(stream.events()) as events:
            async for event in events:
                yield event
        clock.once("total")
        yield Finished(arm=self.name, finish_reason=stream.finish_reason, usage=stream.usage, timings_ms=clock.timings)


class SftArm:
    """The fine-tuned model, asked as it was trained: its own system prompt, no passages."""

    name = "sft"

    def __init__(self, checkpoint: CheckpointEngine, config: ServingConfig) -> None:
        self._checkpoint = checkpoint
        self._config = config

    async def answer(self, turn: Turn) -> AsyncGenerator[Event]:
        clock = Clock()
        engine, manifest = self._checkpoint.engine(), self._checkpoint.manifest
        if engine is None or manifest is None:
            why = self._checkpoint.problem or "its engine is still starting"
            raise EngineError(f"the 'sft' model is not ready: {why}")
        system = turn.instructions or manifest.system_prompt.get(prompt_lang(turn.lang), "")
        messages = sft_messages(turn.question, turn.history, turn.lang, system)
        stream = _Generation(engine, messages, turn.sampling, self._config.answer_timeout_s, clock)
        yield Started(query=turn.question, rewritten=False, reason="asked for by name")
        async with aclosing(stream.events()) as events:
            async for event in events:
                yield event
        clock.once("total")
        yield Finished(arm=self.name, finish_reason=stream.finish_reason, usage=stream.usage, timings_ms=clock.timings)


class RagArm:
    """Reads the docs: search, answer from the passages, cite; refuse or quote where that is the honest thing.

    ``sft-rag`` is the same over the fine-tuned model.
    """

    def __init__(self, live: LiveIndex, engine_of: EngineOf, config: ServingConfig, name: str = "rag") -> None:
        self.name = name
        self._live = live
        self._engine_of = engine_of
        self._config = config

    async def answer(self, turn: Turn) -> AsyncGenerator[Event]:
        clock = Clock()
        retriever = await asyncio.to_thread(self._live.retriever)
        check(retriever.labels, turn.filters)
        engine = self._engine_of()
        ask = await standalone(turn.question, turn.history, engine, turn.lang)
        if ask.rewritten:
            clock.lap("rewrite")
        found = await asyncio.to_thread(_search, retriever, ask.query, turn.filters)
        clock.lap("retrieve")
        other = await _in_other_language(retriever, found, turn, engine, clock)
        found, translated = other or found, other is not None
        rewritten = ask.rewritten or translated
        yield Started(query=found.query, rewritten=rewritten, reason="asked for by name", translated=translated)
        reply = _Reply(found.passages, found.query)
        if not found.verdict.answerable:
            async for event in _refusal(self.name, turn.lang, clock):
                yield event
            return
        if engine is None:
            async for event in self._quoted(reply, "no engine", clock):
                yield event
            return
        sections = await asyncio.to_thread(retriever.sections, found.passages)
        async for event in self._generated(engine, turn, reply, sections, clock):
            yield event

    async def _generated(
        self, engine: Engine, turn: Turn, reply: _Reply, sections: Sequence[Section], clock: Clock
    ) -> AsyncGenerator[Event]:
        """The engine's answer; when it breaks off, what was said stays and the best quotes follow."""
        history = [Message(role=m["role"], content=strip_markers(m["content"])) for m in turn.history]
        messages = rag_messages(turn.question, sections, history, turn.lang, turn.instructions)
        stream = _Generation(engine, messages, turn.sampling, self._config.answer_timeout_s, clock)
        gate = _RefusalGate(refusal_text(turn.lang))
        said = False
        try:
            async with aclosing(stream.events()) as events:
                async for event in events:
                    if isinstance(event, Reasoning):
                        yield event
                        continue
                    for part in reply.feed(gate.feed(event.text)):
                        said = True
                        yield part
                    if gate.refused:
                        break
        except EngineError as error:
            for part in reply.close():
                yield part
            if said:
                yield Text(f"\n\n{BROKE_OFF['zh' if turn.lang == 'zh' else 'en']}\n\n")
            async for quoted in self._quoted(reply, f"engine failed: {error}", clock):
                yield quoted
            return
        for part in reply.feed(gate.close()):
            yield part
        if not gate.passed:
            ending = (
                _refusal(self.name, turn.lang, clock)
                if gate.refused
                else self._quoted(reply, "engine said nothing", clock)
            )
            async for last in ending:
                yield last
            return
        for part in reply.close():
            yield part
        clock.once("total")
        yield Finished(
            arm=self.name,
            sources=reply.sources,
            finish_reason=stream.finish_reason,
            usage=stream.usage,
            timings_ms=clock.timings,
        )

    async def _quoted(self, reply: _Reply, degraded: str, clock: Clock) -> AsyncGenerator[Event]:
        """Quoting mode. Text already said by an engine stays; numbering goes on where it stopped."""
        found = await asyncio.to_thread(quotes, reply.query, reply.passages)
        for number, quote in enumerate(found):
            clock.once("first_token")
            yield Text(("\n\n" if number else "") + as_markdown(quote.text) + marker_lead(quote.text))
            yield reply.cite(quote.index)
        clock.once("total")
        yield Finished(arm=self.name, sources=reply.sources, degraded=degraded, timings_ms=clock.timings)


@dataclass(frozen=True)
class _Found:
    """What a search for ``query`` gave, and whether that answers it."""

    query: str
    passages: list[Passage]
    verdict: Answerability


def _search(retriever: HybridRetriever, query: str, filters: Filters) -> _Found:
    passages = retriever.search(query, None, filters)
    return _Found(query, passages, retriever.answerability(query, passages))


async def _in_other_language(
    retriever: HybridRetriever, found: _Found, turn: Turn, engine: Engine | None, clock: Clock
) -> _Found | None:
    """What the translated question finds, where that is asked for and better than what ``found`` holds."""
    lang = language_to_search(turn.lang, turn.filters.lang, retriever.langs, found.verdict.answerable)
    if engine is None or not lang:
        return None
    query = await translation(found.query, engine, lang)
    clock.lap("translate")
    if not query:
        return None
    other = await asyncio.to_thread(_search, retriever, query, turn.filters)
    clock.lap("retrieve")
    return other if other.verdict.score > found.verdict.score else None


async def _refusal(arm: str, lang: str, clock: Clock) -> AsyncGenerator[Event]:
    clock.once("first_token")
    yield Text(refusal_text(lang))
    clock.once("total")
    yield Finished(arm=arm, refused=True, timings_ms=clock.timings)


class _Reply:
    """Turns generated text into Text and Cited events and remembers which sources were cited."""

    def __init__(self, passages: Sequence[Passage], query: str) -> None:
        self.passages = passages
        self.query = query
        self._terms = tokenize(query)
        self._stream = CitationStream(len(passages))
        self._sources: dict[int, Source] = {}

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(sorted(self._sources.values(), key=lambda source: source.n))

    def feed(self, text: str) -> list[Event]:
        return self._events(self._stream.feed(text)) if text else []

    def close(self) -> list[Event]:
        return self._events(self._stream.close())

    def cite(self, index: int) -> Cited:
        """Cite passage ``index`` by our own hand."""
        if index not in self._stream.order:
            self._stream.order.append(index)
        return self._cited(Cite(self._stream.order.index(index) + 1, index))

    def _events(self, pieces: list[Piece]) -> list[Event]:
        return [self._cited(piece) if isinstance(piece, Cite) else Text(piece) for piece in pieces]

    def _cited(self, cite: Cite) -> Cited:
        first = cite.number not in self._sources
        if first:
            self._sources[cite.number] = source_of(self.passages[cite.index], cite.number, self._terms)
        return Cited(self._sources[cite.number], first)


class _Generation:
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
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
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
            await self._stream.aclose()

    def _pieces(self, reasoning: str, thinking: str, answer: str) -> list[Text | Reasoning]:
        pieces: list[Text | Reasoning] = []
        if reasoning or thinking:
            pieces.append(Reasoning(reasoning + thinking))
        if answer:
            self._clock.once("first_token")
            pieces.append(Text(answer))
        return pieces


class _RefusalGate:
    """Holds an answer back while it may still turn out to be the refusal sentence, so that no source gets under one."""

    def __init__(self, refusal: str) -> None:
        self._refusal = _letters(refusal)
        self._held = ""
        self.passed = False
        self.refused = False

    def feed(self, text: str) -> str:
        if self.passed or self.refused:
            return text if self.passed else ""
        self._held += text
        seen = _letters(self._held)
        if seen.startswith(self._refusal):
            self.refused = True
            return ""
        if self._refusal.startswith(seen):
            return ""
        return self._pass()

    def close(self) -> str:
        return "" if self.passed or self.refused or not self._held.strip() else self._pass()

    def _pass(self) -> str:
        self.passed, held, self._held = True, self._held, ""
        return held


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
