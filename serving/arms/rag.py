"""Arms that read the docs: ``rag``, and ``sft-rag`` over the fine-tuned model.

Search, answer from the passages, cite; refuse what the docs do not hold; quote when no engine answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from data.citations import strip_markers
from data.errors import EngineError
from data.prompts import Message, rag_messages, refusal_text
from rag.expand import Section
from rag.live import LiveIndex
from serving.arms.doubt import REFUSED, Doubt
from serving.arms.events import Event, Finished, Reasoning, Started, Text
from serving.arms.findings import Unsupported
from serving.arms.fitting import Fitted, fitted
from serving.arms.generation import Asking
from serving.arms.quoting import as_markdown, marker_lead, quotes
from serving.arms.reply import RefusalGate, Reply
from serving.arms.retrieval import Found, find
from serving.arms.stopping import for_cited
from serving.arms.turn import Clock, EngineOf, Turn
from serving.arms.verify import Verifier
from serving.config import ServingConfig
from serving.engines.engine import Engine
from serving.exchange import Answer

log = logging.getLogger(__name__)

BROKE_OFF = {
    "en": "*The model broke off here. The best passages:*",
    "zh": "*模型在此中断。最相关的段落：*",
}


class RagArm:
    """Reads the docs: search, answer from the passages, cite; refuse or quote where that is the honest thing.

    ``sft-rag`` is the same over the fine-tuned model.
    """

    def __init__(
        self,
        live: LiveIndex,
        engine_of: EngineOf,
        config: ServingConfig,
        name: str = "rag",
        verifier: Verifier | None = None,
    ) -> None:
        """``verifier``: None checks nothing."""
        self.name = name
        self._verifier = verifier if name in config.verify else None
        self._live = live
        self._engine_of = engine_of
        self._config = config

    async def answer(self, turn: Turn, found: Found | None = None) -> AsyncGenerator[Event]:
        found = found or await find(self._live, turn, self._engine_of())
        engine = self._engine_of()  # only now: a checkpoint may have changed while the question was searched for
        clock = Clock(found.timings_ms)
        yield Started(query=found.query, rewritten=found.rewritten, translated=found.translated)
        reply = Reply(found.passages, found.query)
        if found.hopeless(engine):
            answer = _refusal(self.name, turn.lang, clock)
        elif engine is None:
            answer = self._quoted(reply, "no engine", clock)
        else:
            answer = self._generated(engine, turn, found, reply, clock)
        async with aclosing(answer) as events:
            async for event in events:
                yield event

    async def _generated(
        self, engine: Engine, turn: Turn, found: Found, reply: Reply, clock: Clock
    ) -> AsyncGenerator[Event]:
        """The engine's answer; when it breaks off, what was said stays and the best quotes follow.

        An answer that its model is not sure of is not shown at all: see doubt.py.
        """
        sections = await asyncio.to_thread(found.sections, engine)
        clock.lap("retrieve")
        stream = Asking(engine, _fit(turn, sections, engine.context), self._config.answer_timeout_s, clock)
        answer, failed = Answer(), ""
        gate, doubt = RefusalGate(refusal_text(turn.lang)), Doubt(engine.trust.quote_below)
        try:
            async with aclosing(stream.events()) as events:
                async for event in events:
                    if isinstance(event, Reasoning):
                        yield event
                        continue
                    if gate.refused and any(map(str.isalnum, event.text)):
                        break  # it goes on after a refusal; one that ends there tells its usage
                    reply.limit(len(stream.asked.sections))
                    for part in reply.feed(doubt.feed(gate.feed(event.text), stream.logprobs)):
                        answer.add(part)
                        yield part
                    if doubt.reason:
                        break
        except EngineError as error:
            failed = f"engine failed: {error}"
        rest = "" if failed else doubt.close(gate.close(), stream.logprobs)
        failed = failed or doubt.reason
        if failed and not gate.refused:
            for part in reply.close():
                yield part
            if answer.text:
                yield Text(f"\n\n{BROKE_OFF['zh' if turn.lang == 'zh' else 'en']}\n\n")
                quoted = self._quoted(reply, failed, clock, stream.usage)
            else:
                quoted = self._instead(turn, found, reply, failed, clock, stream.usage)
            async for last in quoted:
                yield last
            return
        for part in reply.feed(rest):
            answer.add(part)
            yield part
        if not gate.passed:
            believed = gate.refused and (not engine.trust.quote_below or found.hopeless(None))
            why = REFUSED if gate.refused else "engine said nothing"
            ending = (
                _refusal(self.name, turn.lang, clock, stream.usage)
                if believed
                else self._instead(turn, found, reply, why, clock, stream.usage)
            )
            async for last in ending:
                yield last
            return
        for part in reply.close():
            answer.add(part)
            yield part
        read = {number: sections[index] for number, index in reply.indexes.items()}
        unsupported = await self._unsupported(answer, found, read, clock)
        clock.once("total")
        yield Finished(
            arm=self.name,
            sources=reply.sources,
            finish_reason=stream.finish_reason,
            usage=stream.usage,
            timings_ms=clock.timings,
            unsupported=unsupported,
            truncated=stream.asked.truncated,
        )

    async def _unsupported(
        self, answer: Answer, found: Found, read: Mapping[int, Section], clock: Clock
    ) -> tuple[Unsupported, ...]:
        """The sentences whose sources do not say what they say. A quoted answer needs no such check."""
        if self._verifier is None or not answer.citations:
            return ()
        clock.start()
        unsupported = await self._verifier.unsupported(answer, found.retriever, read)
        clock.lap("verify")
        return unsupported

    def _instead(
        self, turn: Turn, found: Found, reply: Reply, why: str, clock: Clock, usage: dict[str, int] | None
    ) -> AsyncGenerator[Event]:
        """What is said in place of an answer: the quotes, or the refusal where quoting mode has one. A refusal does not
        tell what went wrong, so the log does."""
        if found.hopeless(None):
            log.info("%s refuses in the place of an answer: %s", self.name, " ".join(why.split())[:300])
            return _refusal(self.name, turn.lang, clock, usage)
        return self._quoted(reply, why, clock, usage)

    async def _quoted(
        self, reply: Reply, degraded: str, clock: Clock, usage: dict[str, int] | None = None
    ) -> AsyncGenerator[Event]:
        """Quoting mode. Text already said by an engine stays; numbering goes on where it stopped."""
        found = await asyncio.to_thread(quotes, reply.query, reply.passages)
        for number, quote in enumerate(found):
            clock.once("first_token")
            yield Text(("\n\n" if number else "") + as_markdown(quote.text) + marker_lead(quote.text))
            yield reply.cite(quote.index)
        clock.once("total")
        yield Finished(arm=self.name, sources=reply.sources, degraded=degraded, usage=usage, timings_ms=clock.timings)


def _fit(turn: Turn, sections: Sequence[Section], context: int | None) -> Callable[[int | None], Fitted]:
    history = [Message(role=m["role"], content=strip_markers(m["content"])) for m in turn.history]

    def build(kept: Sequence[Section], before: Sequence[Message]) -> list[Message]:
        return rag_messages(turn.question, kept, before, turn.lang, turn.instructions)

    return lambda tokens: fitted(build, sections, history, for_cited(turn.sampling), context, tokens)


async def _refusal(arm: str, lang: str, clock: Clock, usage: dict[str, int] | None = None) -> AsyncGenerator[Event]:
    clock.once("first_token")
    yield Text(refusal_text(lang))
    clock.once("total")
    yield Finished(arm=arm, refused=True, usage=usage, timings_ms=clock.timings)
