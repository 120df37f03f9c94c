"""What `docduet eval run --retrieval` compares: ways from a question to ranked passages.

Ours (hybrid, and each of its two sides alone), and plain BM25 over character pairs, what one writes for Chinese in five
lines. The peer, LlamaIndex's stock pipeline, is in peer.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rag.config import RagConfig
from rag.embed import Embedder
from rag.generation import IndexGeneration
from rag.retriever import Hits, HybridRetriever

NAMES = ("hybrid", "bm25", "dense", "bigram", "bigram-pages", "llamaindex")


@dataclass(frozen=True)
class Hit:
    """One found passage: the url of its page, and its text."""

    page: str
    text: str


class System(Protocol):
    """A way from a question to passages, best first."""

    name: str

    def search(self, question: str, depth: int) -> list[Hit]: ...


class LexicalOnly(HybridRetriever):
    """The hybrid retriever without its vectors."""

    def _dense(self, *_: Any) -> Hits:
        return []


class DenseOnly(HybridRetriever):
    """The hybrid retriever without BM25."""

    def _lexical(self, *_: Any) -> Hits:
        return []


class Ours:
    """A retriever of this product under the name ``name``."""

    def __init__(self, name: str, retriever: HybridRetriever) -> None:
        self.name = name
        self._retriever = retriever

    def search(self, question: str, depth: int) -> list[Hit]:
        return [Hit(passage.url, passage.text) for passage in self._retriever.search(question, depth)]


def ours(name: str, generation: IndexGeneration, embedder: Embedder, config: RagConfig) -> System:
    """The system of this name: hybrid, bm25 or dense."""
    kind = {"hybrid": HybridRetriever, "bm25": LexicalOnly, "dense": DenseOnly}[name]
    return Ours(name, kind(generation, embedder, config))


class BigramBM25:
    """Plain BM25 (k1 1.5, b 0.75) over all pairs of neighbouring characters.

    ``bigram``: over the same passages as ours, without the titles and headings that ours are indexed with.
    ``bigram-pages``: over whole pages. It is weaker where pages are long: a reference page of a hundred thousand
    characters holds nearly every pair.
    """

    def __init__(self, name: str, passages: Sequence[Hit]) -> None:
        import bm25s

        self.name = name
        self._passages = passages
        self._bm25 = bm25s.BM25(k1=1.5, b=0.75)
        self._bm25.index([bigrams(passage.text) or [""] for passage in passages], show_progress=False)

    def search(self, question: str, depth: int) -> list[Hit]:
        vocabulary = self._bm25.vocab_dict
        ids = [vocabulary[pair] for pair in dict.fromkeys(bigrams(question)) if pair in vocabulary]
        if not ids:
            return []
        scores = self._bm25.get_scores_from_ids(ids)
        best = np.argsort(-scores, kind="stable")[:depth]
        return [self._passages[i] for i in best if scores[i] > 0]


def bigrams(text: str) -> list[str]:
    """Pairs of neighbouring characters, in lower case, white space left out."""
    dense = re.sub(r"\s+", "", text.lower())
    return [dense[i : i + 2] for i in range(len(dense) - 1)]
