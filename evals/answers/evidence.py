"""What an answer is held against: the question's gold pages and those that the answer cites, cut as they are searched.

The texts come from an index of this DOCDUET_HOME, and from the set where it brings its pages. Where neither has a page
(a gateway on another machine), a source is what the gateway quoted of it. The measure is rag/support.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from data.types import Page, page_id
from evals.answers.facts import alike
from evals.answers.reply import Cited
from rag.chunk import chunk_page
from rag.config import RagConfig
from rag.support import Claim, Source, Weigh, best_support, claim_of, source_of

if TYPE_CHECKING:
    from rag.generation import IndexGeneration

Piece = tuple[str, str]
"""A passage's text, and title and headings above it."""


class Evidence:
    """``index``: None where there is none here. ``corpus``: the pages that the set brings."""

    def __init__(self, index: IndexGeneration | None = None, corpus: Iterable[Page] = ()) -> None:
        self._index = index
        self._corpus: Mapping[str, Page] = {page.url: page for page in corpus}
        self._pieces: dict[str, list[Piece]] = {}
        self.weigh: Weigh = index.term_weights if index else alike

    def claim(self, sentence: str, code: bool = False) -> Claim | None:
        """What a sentence claims; None where it claims nothing that could be looked for."""
        return claim_of(sentence, self.weigh, code)

    def pages(self, urls: Iterable[str]) -> list[Source]:
        """The passages of these pages, as far as they are here."""
        return [source_of(text, context) for url in dict.fromkeys(urls) for text, context in self._page(url)]

    def supports(self, claim: Claim, cited: Sequence[Cited]) -> bool:
        """Whether these citations together support a claim: what was quoted of them, or what stands around it."""
        context = "\n".join(" > ".join([source.title, *source.heading_path]) for source in cited)
        narrow = "\n\n".join(source.quote for source in cited)
        wide = "\n\n".join(self._around(source) for source in cited)
        return any(best_support(claim, [source_of(text, context)]).supported for text in (narrow, wide))

    def _page(self, url: str) -> list[Piece]:
        if url not in self._pieces:
            self._pieces[url] = self._indexed(url) or self._brought(url)
        return self._pieces[url]

    def _indexed(self, url: str) -> list[Piece]:
        rows = self._index.chunks(page_id(url)) if self._index else []
        return [(row.text, row.context) for row in rows]

    def _brought(self, url: str) -> list[Piece]:
        page, sizes = self._corpus.get(url), RagConfig()
        chunks = chunk_page(page, sizes.chunk_tokens, sizes.whole_tokens) if page else []
        return [(chunk.text, chunk.context) for chunk in chunks]

    def _around(self, source: Cited) -> str:
        """The quoted passage with its two neighbours: a model reads more than what is quoted."""
        texts, quote = [text for text, _ in self._page(source.url)], _squeezed(source.quote)
        at = next((n for n, text in enumerate(texts) if quote and quote in _squeezed(text)), None)
        return source.quote if at is None else "\n\n".join(texts[max(0, at - 1) : at + 2])


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
