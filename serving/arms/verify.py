"""Answers checked against the docs, after their last word: nothing here holds an answer up.

Sentences of an answer that was learned are looked for in retrieved passages; sentences with a citation are compared
with what they cite. The measure is rag/support.py's; what it costs stands in ``timings_ms.verify``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from data.citations import strip_markers
from data.errors import DocDuetError
from data.lang import detect_lang
from data.sentences import Span, claims
from data.types import page_id
from rag.expand import Section
from rag.live import LiveIndex
from rag.retriever import HybridRetriever
from rag.support import Source as Text
from rag.support import best_support, claim_of, source_of
from rag.types import Passage
from serving.arms.findings import Sentence, Stale, Unsupported
from serving.arms.retrieval import Found, find
from serving.arms.turn import Turn
from serving.exchange import Answer
from serving.ops.logs import plainly

log = logging.getLogger(__name__)

MAX_SENTENCES = 60
"""Of an answer; the rest of a longer one is not checked."""
MORE = 3
"""Passages that are searched for a sentence which the question's own do not support."""


class Verifier:
    """Checks answers against the live index."""

    def __init__(self, live: LiveIndex) -> None:
        self._live = live

    async def support(
        self, turn: Turn, answer: str, found: Found | None, trained_on: Mapping[str, str]
    ) -> tuple[tuple[Sentence, ...] | None, tuple[Stale, ...]]:
        """Each sentence with the page that supports it, and which of these pages have changed since training.

        ``found``: the search for the question, where there was one. ``trained_on``: url -> content hash. The sentences
        are None where nothing can be told: no index, or docs that are all in another language than the answer.
        """
        try:
            found = found or await find(self._live, turn, None)
            return await asyncio.to_thread(_support, turn, answer, found, trained_on)
        except DocDuetError as error:
            log.info("an answer is not checked: %s", plainly(error))
            return None, ()

    async def unsupported(
        self, answer: Answer, retriever: HybridRetriever, read: Mapping[int, Section]
    ) -> tuple[Unsupported, ...]:
        """The cited sentences that their sources do not support. ``read``: what the model read of each source."""
        return await asyncio.to_thread(_unsupported, answer, retriever, read)


def _support(
    turn: Turn, answer: str, found: Found, trained_on: Mapping[str, str]
) -> tuple[tuple[Sentence, ...] | None, tuple[Stale, ...]]:
    retriever = found.retriever
    if detect_lang(answer) not in retriever.langs:
        return None, ()
    desk = _Desk(retriever, turn, found.passages)
    pieces = [desk.checked(answer[span.start : span.end], span) for span in claims(answer)[:MAX_SENTENCES]]
    sentences = tuple(piece for piece in pieces if piece)
    return sentences, _stale(retriever, sentences, trained_on)


class _Desk:
    """One answer's sentences and the passages at hand for them."""

    def __init__(self, retriever: HybridRetriever, turn: Turn, passages: Sequence[Passage]) -> None:
        self._retriever = retriever
        self._turn = turn
        self._at_hand = list(passages)

    def checked(self, sentence: str, span: Span) -> Sentence | None:
        """A sentence with its support; None when it claims nothing that could be looked for."""
        claim = claim_of(sentence, self._retriever.term_weights, span.code)
        if claim is None:
            return None
        for look in (lambda: self._at_hand, lambda: self._more(sentence)):
            if passages := look():
                best = best_support(claim, [_text(passage) for passage in passages])
                if best.supported:
                    by = passages[best.source]
                    return Sentence(span.start, span.end, by.url, by.title, by.page_id, best.score)
        return Sentence(span.start, span.end)

    def _more(self, sentence: str) -> list[Passage]:
        known = {passage.chunk_id for passage in self._at_hand}
        found = self._retriever.by_words(sentence, MORE, self._turn.filters)
        return [passage for passage in found if passage.chunk_id not in known]


def _text(passage: Passage) -> Text:
    return source_of(passage.text, " > ".join([passage.title, *passage.heading_path]))


def _stale(
    retriever: HybridRetriever, sentences: Sequence[Sentence], trained_on: Mapping[str, str]
) -> tuple[Stale, ...]:
    by = {sentence.url: sentence for sentence in sentences if sentence.supported and sentence.url in trained_on}
    pages = [(url, retriever.page(sentence.page_id)) for url, sentence in by.items()]
    return tuple(Stale(url, page.title) for url, page in pages if page and page.content_hash != trained_on[url])


def drift(trained_on: Mapping[str, str], hashes: Mapping[str, str]) -> dict[str, int]:
    """How the docs have moved on since training. ``trained_on``: url -> content hash; ``hashes``: page id -> the same,
    of the pages as they are now."""
    now = [(content, hashes.get(page_id(url))) for url, content in trained_on.items()]
    gone = sum(current is None for _, current in now)
    return {
        "trained_on": len(now),
        "changed": sum(current != content for content, current in now) - gone,
        "gone": gone,
    }


def _unsupported(answer: Answer, retriever: HybridRetriever, read: Mapping[int, Section]) -> tuple[Unsupported, ...]:
    found: list[Unsupported] = []
    texts: dict[tuple[bool, tuple[int, ...]], Text] = {}

    def text(wide: bool, cited: tuple[int, ...]) -> Text:
        if (wide, cited) not in texts:
            texts[wide, cited] = _together(answer, read if wide else {}, cited)
        return texts[wide, cited]

    for span in claims(answer.text)[:MAX_SENTENCES]:
        cited = tuple(sorted({c.source.n for c in answer.citations if span.start <= c.start < span.end}))
        claim = claim_of(strip_markers(answer.text[span.start : span.end]), retriever.term_weights) if cited else None
        if claim is None:
            continue
        # The passage mostly has it; what the model read around it is several times as long.
        if not any(best_support(claim, [text(wide, cited)]).supported for wide in (False, True)):
            found += [Unsupported(span.start, span.end, n) for n in cited]
    return tuple(found)


def _together(answer: Answer, read: Mapping[int, Section], cited: Sequence[int]) -> Text:
    """What a sentence cites, as one text: it may join what two sources say."""
    sources = {citation.source.n: citation.source for citation in answer.citations}
    pieces = [read[n].text if n in read else sources[n].quote for n in cited]
    return source_of("\n\n".join(pieces), "\n".join(sources[n].name for n in cited))
