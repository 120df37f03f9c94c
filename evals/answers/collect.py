"""Every question to every arm, a bounded number at once; each answer is kept when it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from evals.answers.gateway import Gateway
from evals.answers.kept import Kept
from evals.questions import Question

Told = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""


async def collect(
    gateway: Gateway, questions: Sequence[Question], arms: Sequence[str], kept: Kept, concurrency: int, told: Told
) -> None:
    """Ask what ``kept`` has no answer to yet. The first error ends it, what came before is kept. GatewayError."""
    pairs = [(question, arm) for question in questions for arm in arms]
    left = [(question, arm) for question, arm in pairs if (question.id, arm) not in kept.answers]
    done = len(pairs) - len(left)
    waiting = iter(left)

    async def work(waiting: Iterator[tuple[Question, str]]) -> None:
        nonlocal done
        for question, arm in waiting:
            kept.add(await gateway.ask(question, arm))
            done += 1
            told("Asking", done, len(pairs))

    told("Asking", done, len(pairs))
    workers = [asyncio.create_task(work(waiting)) for _ in range(min(concurrency, len(left)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
