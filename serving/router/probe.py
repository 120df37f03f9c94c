"""One token from the engine: can the question be answered from these passages, yes or no?

The prompt begins as the answer's own does, passages first, so that an engine with a prefix cache reads them once.
Bounded to BUDGET_S, and skipped for good with an engine that gives no logprobs: routing never fails with it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from weakref import WeakSet

from data.citations import strip_markers
from data.errors import EngineError
from data.prompts import Message, answerable_messages
from serving.arms.retrieval import Found
from serving.arms.turn import Turn
from serving.engines.engine import Engine
from serving.ops.logs import plainly

log = logging.getLogger(__name__)

BUDGET_S = 0.5
LEAST = 0.2
"""Probability that must lie on a yes or a no together: an engine that says something else was not understood."""

YES = frozenset({"yes", "y", "是", "能", "可以", "有", "对"})
NO = frozenset({"no", "n", "否", "不", "不能", "无", "没有", "没"})


class Probe:
    """Asks engines, and remembers which of them cannot answer."""

    def __init__(self, budget_s: float = BUDGET_S) -> None:
        self._budget_s = budget_s
        self._without: WeakSet[Engine] = WeakSet()

    async def says_yes(self, turn: Turn, found: Found, engine: Engine | None) -> float | None:
        """Probability of yes, 0 to 1; None where there is no engine, no logprobs, no time, or no clear word."""
        if engine is None or not found.passages or engine in self._without:
            return None
        sections = await asyncio.to_thread(found.sections, engine)
        history = [Message(role=m["role"], content=strip_markers(m["content"])) for m in turn.history]
        messages = answerable_messages(turn.question, sections, history, turn.lang, turn.instructions)
        try:
            async with asyncio.timeout(self._budget_s):
                first = await engine.first_token(messages)
        except (EngineError, TimeoutError) as error:
            log.info("the engine was not heard on a route: %s", plainly(error) or "no answer in time")
            return None
        if not first:
            self._without.add(engine)
            log.info("engine %s gives no logprobs: routes are chosen without it", engine.name)
            return None
        return yes_share(first)


def yes_share(first: Mapping[str, float]) -> float | None:
    """Probability of yes against no. ``first``: token -> logprob of the first token."""
    mass = {
        word: sum(math.exp(min(0.0, logprob)) for token, logprob in first.items() if _word(token) in words)
        for word, words in (("yes", YES), ("no", NO))
    }
    total = mass["yes"] + mass["no"]
    return mass["yes"] / total if total >= LEAST else None


def _word(token: str) -> str:
    return token.strip(" \t\n▁Ġ.,:。，：\"'").lower()
