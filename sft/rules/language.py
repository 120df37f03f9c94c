"""What the rules need of a language, and the two there are. A form is a question with slots; empty slots rule it out.

Slots: {t} a term in backticks, {k} its kind ("parameter"), {c} what it belongs to, {h} a heading, {goal} a verb phrase,
{symptom}, {a} and {b} two things, {f} a column, {tech} a product that the docs do not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sft.rules.text import shuffled


@dataclass(frozen=True)
class Asked:
    """Questions that one heading gives, best first. ``how_to``: they ask for a procedure."""

    questions: tuple[str, ...]
    how_to: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading as a question sees it.

    ``context``: what to call the page, ``parent``: the nearest heading above that is a name; "" where there is none.
    """

    text: str
    context: str
    has_commands: bool
    has_code: bool
    seed: str
    parent: str = ""

    @property
    def owner(self) -> str:
        """Whose "Parameters" these are: the section's above, else the page's."""
        return self.parent or self.context


@dataclass(frozen=True)
class Language:
    """One language's questions.

    ``noun(heading, term)``: what such terms are called, or "". ``reverse(text, noun)``: questions whose answer is the
    term. ``goal``, ``symptom``, ``difference``: what a sentence is good for, or nothing. ``heading``: its questions.
    """

    lang: str
    forms: Mapping[str, tuple[str, ...]]
    noun: Callable[[str, str], str]
    reverse: Callable[[str, str], tuple[str, ...]]
    default: Callable[[str], str]
    has_values: Callable[[str], bool]
    goal: Callable[[str], str]
    symptom: Callable[[str], str]
    difference: Callable[[str], tuple[str, str] | None]
    heading: Callable[[Heading], Asked | None]

    def ask(self, kind: str, seed: str, need_context: bool = False, **slots: str) -> list[str]:
        """All forms of this kind that the slots fill, in the order that ``seed`` gives."""
        return fill(self.forms[kind], seed, need_context, slots)


def fill(forms: Sequence[str], seed: str, need_context: bool, slots: Mapping[str, str]) -> list[str]:
    """The forms whose slots are all filled, filled, in an order that depends on ``seed`` alone."""
    usable = [
        form
        for form in forms
        if all(slots.get(slot) for slot in re.findall(r"\{(\w+)\}", form)) and ("{c}" in form or not need_context)
    ]
    return [form.format(**slots) for form in shuffled(usable, seed)]


@cache
def language(lang: str) -> Language:
    """Chinese for Chinese pages, English for all others (which the writer leaves out unless they are English)."""
    if lang.startswith("zh"):
        from sft.rules.chinese import CHINESE

        return CHINESE
    from sft.rules.english import ENGLISH

    return ENGLISH


def first_unused(questions: Sequence[str], used: set[str], count: int) -> list[str]:
    """The first ``count`` questions that nobody has asked yet; they are then used."""
    fresh = [question for question in dict.fromkeys(questions) if question.lower() not in used][:count]
    used.update(question.lower() for question in fresh)
    return fresh
