"""The rules as one writer: all shapes over all pages, English and Chinese, in an order that never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from data.types import Page
from sft.rules import comparison, multi_turn, passages, raft, sections, single, unanswerable
from sft.rules.corpus import Corpus
from sft.rules.scene import GENERATOR, Scene
from sft.types import Sample

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


class RuleWriter:
    """``product``: named in questions about pages that carry no product label. ``rewrites``: questions a fact."""

    name = GENERATOR

    def __init__(self, product: str = "", rewrites: int = 2) -> None:
        self.product = product
        self.rewrites = rewrites

    def drafts(self, pages: Sequence[Page], only: frozenset[str] | None = None) -> Iterator[Sample]:
        """All are written, those of ``only`` are given: all pages tell which names are ambiguous, what was asked."""
        corpus = Corpus([page for page in pages if page.lang in LANGS], self.product)
        for lang in LANGS:
            scene = Scene(corpus, lang, self.rewrites)
            for write in SHAPES:
                for sample in write(scene):
                    if only is None or only.intersection(sample.pages):
                        yield sample
