"""Follow-up questions made standalone: "and on Windows?" cannot be searched, "How do I install X on Windows?" can.

Rewriting helps follow-ups and hurts questions that stand alone, so it is gated; what was searched is always shown.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from data.citations import strip_markers
from data.errors import EngineError
from data.prompts import Message, rewrite_messages
from rag.lexical import tokenize
from serving.engines.engine import Engine
from serving.ops import tracing

REWRITE_TOKENS = 96
REWRITE_TIMEOUT_S = 10.0
MAX_CHARS = 400

_OPENERS = re.compile(
    r"^\s*(and|but|or|so|then|also|what about|how about|what if|why|which one|ok(ay)?\b|same|instead|"
    r"那么?|还有|如果|但是|而且|另外|换成|然后|为什么$|为何$|怎么办)",
    re.IGNORECASE,
)
_POINTERS = re.compile(
    r"\b(it|its|that|this|these|those|they|them|there|the same|the other|above|former|latter|one)\b|"
    r"它|这个|那个|这些|那些|上述|上面|前者|后者|该|其",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^\s*(and|but|or|so|then|also|what about|how about|那么?|还有)[\s,，]*(?P<rest>.+?)\s*[呢吗]?[?？]?\s*$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Standalone:
    """``query`` is what to search; ``rewritten`` when it differs from the user's words."""

    query: str
    rewritten: bool


def is_follow_up(question: str, history: Sequence[Message]) -> bool:
    """Whether the question leans on earlier turns: it opens like one, points back, or is a mere fragment.

    Asked again in the same words, it leans on those before it, never on itself.
    """
    if not _before(question, history):
        return False
    fragment = len(tokenize(question)) <= 2 and len(question.split()) <= 4  # "Windows?", not "Who is king of Spain?"
    return fragment or bool(_OPENERS.search(question) or _POINTERS.search(question))


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


def join(question: str, history: Sequence[Message]) -> str:
    """Without a model: the last question that stood alone, then what is new in this one."""
    asked = _before(question, history)
    topic = next((turn for turn in reversed(asked) if not _OPENERS.search(turn)), asked[-1])
    new = _LEAD.match(question)
    rest = new.group("rest") if new else question
    return f"{topic.strip().rstrip('?？')} {rest.strip()}"


def _before(question: str, history: Sequence[Message]) -> list[str]:
    """The other questions of the conversation."""
    asked = (turn["content"] for turn in history if turn["role"] == "user")
    return [said for said in asked if said.strip() != question.strip()]


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
