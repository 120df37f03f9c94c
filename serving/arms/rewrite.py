"""Follow-up questions made standalone: "and on Windows?" cannot be searched, "How do I install X on Windows?" can.

Rewriting helps follow-ups and hurts questions that stand alone, so it is gated (rag/follow_up.py tells them apart, and
joins them where no model answers); what was searched is always shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from data.citations import strip_markers
from data.errors import EngineError
from data.prompts import Message, rewrite_messages
from rag.follow_up import is_follow_up, join
from rag.lexical import tokenize
from serving.engines.engine import Engine
from serving.ops import tracing

REWRITE_TOKENS = 96
REWRITE_TIMEOUT_S = 10.0
MAX_CHARS = 400


@dataclass(frozen=True)
class Standalone:
    """``query`` is what to search; ``rewritten`` when it differs from the user's words."""

    query: str
    rewritten: bool


async def standalone(question: str, history: Sequence[Message], engine: Engine | None, lang: str) -> Standalone:
    """The question to search. Asks the engine where there is one; falls back to joining it with the question before."""
    if not is_follow_up(question, history):
        return Standalone(question, False)
    if engine is not None:
        with tracing.span("rewrite"):
            written = await _ask(engine, question, history, lang)
        if written:
            return Standalone(written, written != question)
    return Standalone(join(question, history), True)


async def _ask(engine: Engine, question: str, history: Sequence[Message], lang: str) -> str:
    """The engine's rewrite, or "" when it failed or is not to be trusted."""
    turns = [Message(role=turn["role"], content=strip_markers(turn["content"])) for turn in history[-6:]]
    return checked(await one_line(engine, rewrite_messages(question, turns, lang)), question, turns)


async def one_line(engine: Engine, messages: Sequence[Message]) -> str:
    """A short answer of the engine's, whole; "" when it failed or took too long."""
    parts: list[str] = []
    try:
        async with asyncio.timeout(REWRITE_TIMEOUT_S):
            async for delta in engine.chat(messages, temperature=0.0, max_tokens=REWRITE_TOKENS):
                parts.append(delta.text)
    except (EngineError, TimeoutError):
        return ""
    return "".join(parts)


def checked(written: str, question: str, history: Sequence[Message]) -> str:
    """A rewrite is used only if it is one short line made of the conversation's own words."""
    line = written.strip().strip('"“”').strip()
    said = set(tokenize(" ".join([question, *(turn["content"] for turn in history)])))
    words = tokenize(line)
    known = sum(word in said for word in words)
    if not words or "\n" in line or len(line) > MAX_CHARS or known < 0.5 * len(words):
        return ""
    return line
