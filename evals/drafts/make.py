"""Draft a set: ask the teacher round by round until there are enough questions or the pages are used up.

The same pages, options and replies give the same set: after a stop the same command asks only what is missing.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from data.chat.calls import Call, TurnedDown
from data.chat.window import Rank, Usage, Window
from data.errors import ConfigError
from data.prompts import Excerpt, answerable_messages
from data.types import Page
from evals.answers.collect import Told
from evals.drafts.alike import Asked
from evals.drafts.check import checked
from evals.drafts.parts import Job, jobs_of, parts_of
from evals.drafts.prompts import draft_messages
from evals.drafts.replies import draft, yes
from evals.model import Model, asking
from evals.questions import Question
from evals.runs import write_whole

Search = Callable[[str], Sequence[Excerpt]]
"""A question -> the passages that the docs have for it."""

MOST_TITLES = 60
MAX_TOKENS = 1200


@dataclass(frozen=True)
class Plan:
    """``pages``: to ask about. ``trained``: questions that must not be asked again."""

    pages: Sequence[Page]
    wanted: int
    search: Search
    trained: Iterable[str] = ()
    seed: int = 0


@dataclass
class Drafted:
    """``doubts``: sentences of a reference that its page does not evidently say, by question id. ``dropped``: drafts
    that were turned down, by reason."""

    questions: list[Question] = field(default_factory=list)
    doubts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    wanted: int = 0


Outcome = tuple[Question, tuple[str, ...]] | TurnedDown


def make(plan: Plan, model: Model, told: Told) -> Drafted:
    """Raises ConfigError, EngineError: what was drafted is kept, the same command goes on."""
    return asyncio.run(_made(plan, model, told))


async def _made(plan: Plan, model: Model, told: Told) -> Drafted:
    made, asked = Drafted(wanted=plan.wanted), Asked(plan.trained)
    by_page: dict[str, list[str]] = {}
    titles = sorted({page.title for page in plan.pages})[:MOST_TITLES]
    parts = parts_of(plan.pages, plan.seed)
    jobs = jobs_of(parts)

    def progress(usage: Usage) -> None:
        told(f"Drafting ({usage.done} calls)", len(made.questions), plan.wanted)

    async with asking(model, progress) as window:
        # No piece twice in a round: the teacher is told what was asked about it before.
        while batch := list(islice(jobs, min(len(parts), plan.wanted - len(made.questions)))):
            calls = [_drafted(job, titles, by_page.get(job.part.page.url, ()), plan.search, window) for job in batch]
            for job, outcome in zip(batch, await asyncio.gather(*calls), strict=True):
                _sift(made, asked, by_page, job, outcome)
            told("Drafting", len(made.questions), plan.wanted)
    return made


async def _drafted(job: Job, titles: Sequence[str], asked: Sequence[str], search: Search, window: Window) -> Outcome:
    call = Call("questions", draft_messages(job, titles, asked), MAX_TOKENS, temperature=0.7, take=job.number)
    try:
        found = checked(draft(await window.ask(call, Rank(1, job.number)), job.kind), job)
        if job.kind == "unanswerable":
            await _nowhere(found[0], job, search, window)
    except TurnedDown as error:
        return error
    return found


async def _nowhere(question: Question, job: Job, search: Search, window: Window) -> None:
    """TurnedDown where the teacher finds an answer in what the search finds in all pages."""
    passages = await asyncio.to_thread(search, question.question)
    messages = tuple(answerable_messages(question.question, passages, lang=question.lang))
    if passages and yes(await window.ask(Call("judge", messages, 20, temperature=0.0), Rank(0, job.number))):
        raise TurnedDown("answered", "the documentation answers it")


def _sift(made: Drafted, asked: Asked, by_page: dict[str, list[str]], job: Job, outcome: Outcome) -> None:
    """Keep a draft unless it was turned down or asks what was asked before."""
    if isinstance(outcome, TurnedDown):
        made.dropped[outcome.gate] += 1
        return
    question, doubts = outcome
    by_page.setdefault(job.part.page.url, []).append(question.question)
    if asked.twin(question.question):
        made.dropped["asked-before"] += 1
        return
    asked.add(question.question)
    number = sum(one.lang == question.lang for one in made.questions) + 1
    named = replace(question, id=f"{question.lang}-{number:03}")
    made.questions.append(named)
    if doubts:
        made.doubts[named.id] = doubts


def write_set(path: Path, made: Drafted) -> None:
    """A question a line, as evals/questions.py reads it, with ``reviewed`` false and the reviewer's ``doubts``.

    Raises ConfigError where a file is there already: somebody may have read it.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already, and somebody may have reviewed it: give another --out")
    lines = [json.dumps(line, ensure_ascii=False) for line in _lines(made)]
    try:
        write_whole(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _lines(made: Drafted) -> Iterator[dict[str, Any]]:
    for question in made.questions:
        said = {name: value for name, value in asdict(question).items() if value not in ("", ()) or name == "pages"}
        doubts = {"doubts": made.doubts[question.id]} if question.id in made.doubts else {}
        yield said | {"reviewed": False} | doubts
