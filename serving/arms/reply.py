"""An answer with sources under way: markers become citations, and no source gets under a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from data.citations import CitationStream, Cite, Piece
from data.prompts import refusal_text
from rag.lexical import tokenize
from rag.types import Passage
from serving.arms.events import Cited, Event, Text
from serving.arms.sources import Source, source_of


class Reply:
    """Turns generated text into Text and Cited events and remembers which sources were cited."""

    def __init__(self, passages: Sequence[Passage], query: str) -> None:
        self.passages = passages
        self.query = query
        self._terms = tokenize(query)
        self._stream = CitationStream(len(passages))
        self._sources: dict[int, Source] = {}

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(sorted(self._sources.values(), key=lambda source: source.n))

    @property
    def indexes(self) -> dict[int, int]:
        """Number of a source -> index of its passage (from 0)."""
        return dict(enumerate(self._stream.order, start=1))

    def limit(self, passages: int) -> None:
        """The model has read only the first so many passages: it can cite no other."""
        self._stream.passages = passages

    def feed(self, text: str) -> list[Event]:
        return self._events(self._stream.feed(text)) if text else []

    def close(self) -> list[Event]:
        return self._events(self._stream.close())

    def cite(self, index: int) -> Cited:
        """Cite passage ``index`` by our own hand."""
        if index not in self._stream.order:
            self._stream.order.append(index)
        return self._cited(Cite(self._stream.order.index(index) + 1, index))

    def _events(self, pieces: list[Piece]) -> list[Event]:
        return [self._cited(piece) if isinstance(piece, Cite) else Text(piece) for piece in pieces]

    def _cited(self, cite: Cite) -> Cited:
        first = cite.number not in self._sources
        if first:
            self._sources[cite.number] = source_of(self.passages[cite.index], cite.number, self._terms)
        return Cited(self._sources[cite.number], first)


class RefusalGate:
    """Holds an answer back while it may still turn out to be the refusal sentence, so that no source gets under one."""

    def __init__(self, refusal: str) -> None:
        self._refusal = _letters(refusal)
        self._held = ""
        self.passed = False
        self.refused = False

    def feed(self, text: str) -> str:
        if self.passed or self.refused:
            return text if self.passed else ""
        self._held += text
        seen = _letters(self._held)
        if seen.startswith(self._refusal):
            self.refused = True
            return ""
        if self._refusal.startswith(seen):
            return ""
        return self._pass()

    def close(self) -> str:
        return "" if self.passed or self.refused or not self._held.strip() else self._pass()

    def _pass(self) -> str:
        self.passed, held, self._held = True, self._held, ""
        return held


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def is_refusal(text: str, lang: str) -> bool:
    """Whether a whole answer is the refusal sentence."""
    return _letters(text) == _letters(refusal_text(lang))
