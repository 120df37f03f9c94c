"""Hybrid search over one index generation: BM25 and vectors, fused by rank.

Thread-safe and read-only. Which generation is live is live.py's business; whether the passages answer the question is
answerable.py's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.errors import VectorStoreError
from data.lang import detect_lang
from data.types import ANY, Filters, Page
from rag.answerable import Answerability, judge
from rag.config import RagConfig
from rag.embed import Embedder
from rag.fuse import fuse
from rag.generation import GenerationInfo, IndexGeneration, Row
from rag.labels import LabelCount
from rag.lexical import terms, tokenize
from rag.types import Passage, Why
from rag.vector_store import StoredVectors

MAX_QUERY_CHARS = 2000
"""A longer question is searched by its beginning."""

_FOREIGN_DENSE = 0.25
"""Weight of the vectors for questions in a language the embedder does not know: BM25 leads."""

_OWN_LANG = 1.25
"""Bonus of passages in the question's language, where the docs hold several."""

Hits = list[tuple[int, float]]
"""(chunk id, score), best first."""


class HybridRetriever:
    """Search in ``generation``; ``embedder`` must be the one it was built with."""

    def __init__(self, generation: IndexGeneration, embedder: Embedder, config: RagConfig) -> None:
        self._generation = generation.load()
        self._embedder = embedder
        self._config = config

    @property
    def info(self) -> GenerationInfo:
        return self._generation.info

    @property
    def labels(self) -> list[LabelCount]:
        """What searches can be filtered by (rag/labels.py)."""
        return self._generation.labels

    @property
    def by_words_alone(self) -> bool:
        """Whether the vectors are searched in a database that does not answer at the moment."""
        return isinstance(self._generation.vectors, StoredVectors) and self._generation.vectors.down

    def page(self, page_id: str) -> Page | None:
        """A page as it was when this index was built."""
        return self._generation.page(page_id)

    def search(self, query: str, top_k: int | None = None, filters: Filters = ANY) -> list[Passage]:
        """The best passages, at most ``top_k`` (default from the configuration). An empty query finds nothing."""
        query = query.strip()[:MAX_QUERY_CHARS]
        wanted = self._config.top_k if top_k is None else top_k
        if not query or wanted < 1:
            return []
        mask = self._generation.mask(filters) if filters else None
        n = max(self._config.candidates, 2 * wanted)
        lexical, dense = self._lexical(query, n, mask), self._dense(query, n, mask)
        ranked = self._fused(query, lexical, dense)[:wanted]
        return self._passages(query, ranked, dict(lexical), dict(dense))

    def answerability(self, query: str, passages: Sequence[Passage]) -> Answerability:
        """Whether ``passages`` (as `search` gave them for ``query``) hold an answer."""
        knows = not self._embedder.langs or detect_lang(query) in self._embedder.langs
        knows = knows and not self.by_words_alone
        return judge(query[:MAX_QUERY_CHARS], passages, self.term_weights(query[:MAX_QUERY_CHARS]), knows)

    def term_weights(self, query: str) -> dict[str, float]:
        """Query term -> how much it tells, 0 (in every chunk) to 1 (in none), whatever the corpus' size."""
        bm25 = self._generation.bm25
        indptr, vocabulary, chunks = bm25.scores["indptr"], bm25.vocab_dict, self.info.chunks
        weights = {}
        for term in terms(query):
            number = vocabulary.get(term.token)
            found = 0 if number is None else int(indptr[number + 1] - indptr[number])
            weights[term.token] = float(np.log((chunks + 1) / (found + 1)) / np.log(chunks + 1)) if found else 1.0
        return weights

    def _fused(self, query: str, lexical: Hits, dense: Hits) -> Hits:
        lang = detect_lang(query)
        knows = not self._embedder.langs or lang in self._embedder.langs
        rankings = [
            (1.0, [chunk_id for chunk_id, _ in lexical]),
            (1.0 if knows else _FOREIGN_DENSE, [chunk_id for chunk_id, _ in dense]),
        ]
        fused = fuse(rankings)
        own = self._generation.in_lang([chunk_id for chunk_id, _ in fused], lang)
        lifted = [(item, score * (_OWN_LANG if same else 1.0)) for (item, score), same in zip(fused, own, strict=True)]
        return sorted(lifted, key=lambda hit: (-hit[1], hit[0]))

    def _lexical(self, query: str, n: int, mask: NDArray[np.bool_] | None) -> Hits:
        """BM25's hits; a chunk without any of the words is none."""
        bm25 = self._generation.bm25
        ids = [bm25.vocab_dict[token] for token in dict.fromkeys(tokenize(query)) if token in bm25.vocab_dict]
        if not ids:
            return []
        scores = bm25.get_scores_from_ids(ids)
        if mask is not None:
            scores = np.where(mask, scores, 0.0)
        best = np.argpartition(-scores, n)[:n] if n < len(scores) else np.arange(len(scores))
        best = best[np.lexsort((best, -scores[best]))]
        return [(int(i), float(scores[i])) for i in best if scores[i] > 0]

    def _dense(self, query: str, n: int, mask: NDArray[np.bool_] | None) -> Hits:
        """Nearest chunks by inner product; none while a database does not answer: BM25 then answers alone."""
        try:
            return self._generation.vectors.search(self._embedder.query(query), n, mask)
        except VectorStoreError:  # logged where it happened
            return []

    def _passages(self, query: str, ranked: Hits, lexical: dict[int, float], dense: dict[int, float]) -> list[Passage]:
        ranks = [{chunk_id: n for n, chunk_id in enumerate(side, start=1)} for side in (lexical, dense)]
        wanted = list(dict.fromkeys(tokenize(query)))
        rows = self._generation.rows([chunk_id for chunk_id, _ in ranked])
        passages = []
        for rank, (row, (chunk_id, score)) in enumerate(zip(rows, ranked, strict=True), start=1):
            why = Why(
                bm25_rank=ranks[0].get(chunk_id),
                bm25_score=lexical.get(chunk_id, 0.0),
                dense_rank=ranks[1].get(chunk_id),
                dense_score=dense.get(chunk_id, 0.0),
                terms=self._generation.holds(chunk_id, wanted),
            )
            passages.append(_passage(row, score, rank, why))
        return passages


def _passage(row: Row, score: float, rank: int, why: Why) -> Passage:
    return Passage(
        chunk_id=row.chunk_id,
        page_id=row.page_id,
        url=row.url,
        title=row.title,
        heading_path=row.heading_path,
        text=row.text,
        start=row.start,
        end=row.end,
        lang=row.lang,
        product=row.labels.get("product", ""),
        version=row.labels.get("version", ""),
        score=score,
        rank=rank,
        why=why,
    )
