"""What questions are drafted from: pieces of pages, languages in turn, and the kind of question for each. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from data.text import estimate_tokens
from data.types import Page
from evals.questions import Kind
from rag.chunk import chunk_page
from rag.config import RagConfig

PART_TOKENS = 900
FEWEST_TOKENS = 40
PASSES = 5
"""How often a piece is asked about before the pages are said to be used up."""

_STEP = re.compile(r"^\s*\d{1,2}[.)、]\s+\S", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A piece of a page, whole chunks of it."""

    page: Page
    text: str


@dataclass(frozen=True)
class Job:
    """One question to be drafted. ``number``: from 0."""

    number: int
    part: Part
    kind: Kind


def parts_of(pages: Sequence[Page], seed: int) -> list[Part]:
    """All pieces long enough to ask about, shuffled with ``seed``, languages in turn."""
    by_lang: dict[str, list[Part]] = {}
    for page in sorted(pages, key=lambda page: page.url):
        by_lang.setdefault(page.lang, []).extend(_cut(page))
    for found in by_lang.values():
        random.Random(seed).shuffle(found)
    turns = zip_longest(*(by_lang[lang] for lang in sorted(by_lang)))
    return [part for turn in turns for part in turn if part]


def jobs_of(parts: Sequence[Part]) -> Iterator[Job]:
    """Every piece up to PASSES times: about one question in seven unanswerable, one in nine a follow-up, steps where
    there is a procedure."""
    for number in range(PASSES * len(parts)):
        part = parts[number % len(parts)]
        yield Job(number, part, _kind(number, part))


def _kind(number: int, part: Part) -> Kind:
    if number % 7 == 3:
        return "unanswerable"
    if number % 9 == 5:
        return "follow-up"
    return "steps" if len(_STEP.findall(part.text)) >= 2 else "single"


def _cut(page: Page) -> Iterator[Part]:
    sizes = RagConfig()
    text = ""
    for chunk in chunk_page(page, sizes.chunk_tokens, sizes.whole_tokens):
        if text and estimate_tokens(text + chunk.text) > PART_TOKENS:
            yield from _part(page, text)
            text = ""
        text += ("\n\n" if text else "") + chunk.text.strip()
    yield from _part(page, text)


def _part(page: Page, text: str) -> Iterator[Part]:
    if estimate_tokens(text) >= FEWEST_TOKENS:
        yield Part(page, text)
