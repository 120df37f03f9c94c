"""The rules as one writer: all shapes over all pages, English and Chinese, in an order that never changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from data.prompts import Message
from data.types import Page
from sft.rules import comparison, multi_turn, passages, raft, sections, single, unanswerable
from sft.rules.corpus import Corpus
from sft.rules.paraphrase import paraphrases
from sft.rules.scene import GENERATOR, Scene
from sft.types import Sample, Shape

LANGS = ("en", "zh")
"""Pages in other languages have no rules; the card counts them."""

# Sections before passages before definitions: where two want the same question, the fuller answer has it.
SHAPES: tuple[Callable[[Scene], Iterator[Sample]], ...] = (
    sections.samples,
    passages.samples,
    single.samples,
    comparison.samples,
    unanswerable.samples,
    multi_turn.samples,
    raft.samples,
)


WRITTEN_ONCE: frozenset[Shape] = frozenset(["whole-page"])
"""Shapes that are not asked for in other words: their answers are too long to come twice."""


class RuleWriter:
    """``product``: named in questions about pages that carry no product label. ``rewrites``: questions a fact, as the
    rules write them; ``paraphrases``: how often each of these comes again in other words, with the same answer."""

    name = GENERATOR

    def __init__(self, product: str = "", rewrites: int = 2, paraphrases: int = 0) -> None:
        self.product = product
        self.rewrites = rewrites
        self.paraphrases = paraphrases

    def drafts(self, pages: Sequence[Page], only: frozenset[str] | None = None) -> Iterator[Sample]:
        """All are written, those of ``only`` are given: all pages tell which names are ambiguous, what was asked."""
        corpus = Corpus([page for page in pages if page.lang in LANGS], self.product)
        for lang in LANGS:
            scene = Scene(corpus, lang, self.rewrites)
            for write in SHAPES:
                for sample in write(scene):
                    if only is None or only.intersection(sample.pages):
                        yield sample
                        yield from reworded(sample, self.paraphrases)


def reworded(sample: Sample, count: int) -> Iterator[Sample]:
    """The sample with its first question in up to ``count`` other wordings; the sample's own words decide which."""
    if not count or sample.shape in WRITTEN_ONCE:
        return
    asked = sample.questions[0]
    at = next(number for number, message in enumerate(sample.messages) if message["role"] == "user")
    for other in paraphrases(asked, sample.lang, random.Random(sample.id), count):
        messages = (*sample.messages[:at], Message(role="user", content=other), *sample.messages[at + 1 :])
        yield replace(sample, messages=messages)
