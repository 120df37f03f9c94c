"""What a plan will cost before it is carried out: calls, tokens, and time where the teacher's speed is known.

An upper bound: it reckons with every question that is asked for, though some do not come or do not pass. What is cached
is not guessed but tried: the plan is walked through with the cache alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.chat.window import Usage
from sft.nearest import Candidate
from sft.rules.raft import PASSAGES
from sft.teacher.flows import THINKING_TOKENS, Settings
from sft.teacher.plan import EXPECTED, REWRITTEN, Comparison, Job, Missing, Part, Plan, Replay, WholePage
from sft.tokens import estimate
from sft.types import Shape

FRAME = 160
"""Tokens of instructions around the passages."""

QUESTION, VERDICT, THOUGHT = 35, 25, THINKING_TOKENS // 5


@dataclass(frozen=True)
class Cost:
    """Calls of one kind and their tokens."""

    kind: str
    calls: float
    prompt: float
    completion: float


@dataclass(frozen=True)
class Estimate:
    """All of a plan, and what of it is left to ask for. ``seconds``: 0.0 where the speed is not known yet."""

    calls: int
    cached: int
    prompt_tokens: int
    completion_tokens: int
    samples: int
    seconds: float = 0.0

    def as_dict(self) -> dict[str, object]:
        return {**vars(self), "seconds": round(self.seconds) or None}

    def __str__(self) -> str:
        known = f", {self.cached:,} more are cached" if self.cached else ""
        time = f"about {_duration(self.seconds)}" if self.seconds else "time unknown before a first call"
        return (
            f"up to {self.calls:,} calls{known}; about {_round(self.prompt_tokens)} prompt and "
            f"{_round(self.completion_tokens)} completion tokens; {time}; "
            f"up to {self.samples:,} samples before the gates"
        )


def costs(job: Job, settings: Settings) -> Iterator[Cost]:
    """What one job takes at most."""
    verdict = 1 if settings.judge else 0
    thought = THOUGHT * settings.think_share
    if isinstance(job, Replay):
        size = EXPECTED["replay"].tokens
        yield Cost("answer", 1, estimate(job.prompt) + 30, size + thought)
        yield Cost("judge", verdict, FRAME + size, VERDICT)
        return
    if isinstance(job, WholePage):
        size = estimate(job.page.body)
        yield Cost("questions", 1, size + FRAME, QUESTION)
        yield Cost("judge", verdict, size + FRAME, VERDICT)
        return
    size = _size(job.passages) + FRAME
    shapes = [one.shape for one in job.wanted] if isinstance(job, Part) else [_shape(job)] * job.count
    yield Cost("questions", 1, size + QUESTION * len(shapes), QUESTION * len(shapes))
    for shape in shapes:
        yield from _of_question(shape, size, settings, verdict, thought)


def _of_question(shape: Shape, size: float, settings: Settings, verdict: int, thought: float) -> Iterator[Cost]:
    ways = settings.rewrites if shape in REWRITTEN else 1
    tokens = EXPECTED[shape].tokens
    if ways > 1:
        yield Cost("rewrites", 1, 120, QUESTION * ways)
    if shape == "multi-turn":
        yield Cost("follow-up", 2, 2 * (size + tokens), 2 * QUESTION)
        yield Cost("answer", 3, 3 * (size + tokens / 2), tokens)
    elif shape == "raft":
        yield Cost("answer", 1, PASSAGES * 250 + FRAME, 160)
    else:
        yield Cost("answer", ways, ways * size, ways * (tokens + thought * (shape != "unanswerable")))
    judged = 150.0 if shape == "unanswerable" else size + tokens
    yield Cost("judge", verdict * ways, verdict * ways * judged, verdict * ways * VERDICT)


def samples(job: Job, settings: Settings) -> int:
    if isinstance(job, Part):
        return sum(settings.rewrites if one.shape in REWRITTEN else 1 for one in job.wanted)
    return job.count if isinstance(job, Comparison | Missing) else 1


def calls(job: Job, settings: Settings) -> int:
    return round(sum(cost.calls for cost in costs(job, settings)))


def estimated(plan: Plan, settings: Settings, cached: Usage, speed: float, concurrency: int) -> Estimate:
    """``cached``: what a walk with the cache alone found. ``speed``: seconds a token of an answer takes; 0: unknown."""
    total, prompt, completion = (defaultdict[str, float](float) for _ in range(3))
    for job in plan.jobs:
        for cost in costs(job, settings):
            total[cost.kind] += cost.calls
            prompt[cost.kind] += cost.prompt
            completion[cost.kind] += cost.completion
    left = {kind: max(0.0, 1 - cached.cached[kind] / count) if count else 0.0 for kind, count in total.items()}
    tokens = sum(completion[kind] * left[kind] for kind in total)
    return Estimate(
        calls=round(sum(total[kind] * left[kind] for kind in total)),
        cached=cached.cached.total(),
        prompt_tokens=round(sum(prompt[kind] * left[kind] for kind in total)),
        completion_tokens=round(tokens),
        samples=sum(samples(job, settings) for job in plan.jobs),
        seconds=tokens * speed / concurrency,
    )


def _shape(job: Comparison | Missing) -> Shape:
    return "comparison" if isinstance(job, Comparison) else "unanswerable"


def _size(passages: Sequence[Candidate]) -> int:
    return sum(estimate(one.text) for one in passages)


def _round(tokens: int) -> str:
    return f"{tokens / 1e6:.1f} M" if tokens >= 1e6 else f"{tokens:,}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
