"""What is wrong with a question set, before anybody measures with it. `docduet eval check SET` prints it.

A set that disagrees with its own pages measures nothing: a gold page that does not exist is never found, a key that
stands neither in the page nor in the reference is recalled by no right answer. Whether a question is a good one, and
whether other pages answer it as well, is left to people (`docduet eval run --retrieval SET --misses` helps).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from data.prompts import REFUSAL
from data.text import folded
from data.types import Page
from evals.answers.facts import place, recalled
from evals.answers.steps import completeness
from evals.answers.text import said
from evals.questions import Fact, Question, QuestionSet


@dataclass(frozen=True)
class Problem:
    """``id``: of the question; ``text``: what is wrong with it."""

    id: str
    text: str


def problems(questions: QuestionSet, pages: Iterable[Page]) -> list[Problem]:
    """All that is wrong with the set, over the ``pages`` that it asks about; in the order of the questions."""
    known = {page.url: said(f"{page.title}\n{page.body}") for page in pages}
    asked = questions.questions
    found = [Problem(one.id, text) for one in asked for text in (*_pages(one, known), *_facts(one, known))]
    order = {one.id: n for n, one in enumerate(asked)}
    return sorted([*found, *_twice(asked)], key=lambda problem: order[problem.id])


def counts(questions: QuestionSet) -> dict[str, dict[str, int]]:
    """How many questions there are: language -> kind -> number. Questions without a kind count as "single"."""
    found: dict[str, Counter[str]] = {}
    for one in questions.questions:
        kind = one.kind or ("single" if one.answerable else "unanswerable")
        found.setdefault(one.lang, Counter())[kind] += 1
    return {lang: dict(sorted(kinds.items())) for lang, kinds in sorted(found.items())}


def _pages(one: Question, known: Mapping[str, str]) -> Iterator[str]:
    """Gold pages that are missing, a span that does not stand in the first one, pages of what no page answers."""
    yield from (f"there is no page {url}" for url in one.pages if url not in known)
    if not one.answerable and (one.pages or one.facts):
        yield "it is unanswerable and yet names pages or facts"
    first = known.get(one.pages[0], "") if one.pages else ""
    if first and _squeezed(one.answer_span) not in _squeezed(first):
        yield f"answer_span does not stand in {one.pages[0]}: {one.answer_span!r}"


def _facts(one: Question, known: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the facts, one by one; then pages that have none of them, and steps out of order."""
    texts = {url: known[url] for url in one.pages if url in known}
    stated: Counter[str] = Counter()
    for fact in one.facts:
        if one.reference and not recalled(fact, one.reference):
            yield f"the reference does not say the fact {fact.text!r}"
        if fact.keys:
            having = [url for url, text in texts.items() if place(fact.keys, text) is not None]
            stated.update(having)
            yield from _keys(one, fact, nowhere=bool(texts) and not having)
    if stated:
        yield from (f"the page {url} has the keys of none of the facts" for url in texts if url not in stated)
    if one.kind == "steps" and one.reference and one.facts and completeness(one.facts, one.reference) < 1:
        yield "the reference does not say the steps in order"


def _keys(one: Question, fact: Fact, nowhere: bool) -> Iterator[str]:
    """Keys that a right answer would not be credited with (``nowhere``: no gold page has them), or that any would."""
    if nowhere:
        yield f"no gold page has the keys of the fact {fact.text!r}"
    if not recalled(fact, fact.text):
        yield f"the fact {fact.text!r} does not match its own keys"
    if any(recalled(fact, text) for text in (one.question, *REFUSAL.values())):
        yield f"the question's own words, or a refusal, would count as the fact {fact.text!r}"


def _twice(questions: Iterable[Question]) -> Iterator[Problem]:
    """Questions asked before, with the same conversation before them; case and marks aside."""
    seen: dict[tuple[str, ...], str] = {}
    for one in questions:
        talk = (*(turn.content for turn in one.history), one.question)
        first = seen.setdefault(tuple(map(folded, talk)), one.id)
        if first != one.id:
            yield Problem(one.id, f"asks the same as {first}")


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", said(text))
