"""Hybrid search over one index generation: BM25 and vectors, fused by rank; reranked where a reranker is set.

Thread-safe and read-only. Which generation is live is live.py's business; whether the passages answer the question is
answerable.py's. `search` gives what was found, `sections` what a model should read around it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from data.errors import VectorStoreError
from data.lang import detect_lang
from data.types import ANY, Filters, Page
from rag.answerable import JUDGED, Answerability, judge
from rag.chunk import estimate_tokens
from rag.config import RagConfig
from rag.diversify import diversify
from rag.embed import Embedder
from rag.expand import REACH, Piece, Section, widen
from rag.fuse import fuse
from rag.generation import GenerationInfo, IndexGeneration, PageRow, Row
from rag.labels import LabelCount
from rag.lexical import latin, tokenize
from rag.pagescore import WEIGHT, page_scores
from rag.rerank import load_reranker
from rag.stages import stage
from rag.types import Passage, Why
from rag.vector_store import StoredVectors

MAX_QUERY_CHARS = 2000
"""A longer question is searched by its beginning."""

_FOREIGN_DENSE = 0.05
"""Weight of the vectors for questions in a language the embedder does not know: they settle ties and fill up."""

_OWN_LANG = 1.25
"""Factor on the scores of passages in the question's language, where the docs hold several."""


Hits = list[tuple[int, float]]
"""(chunk id, score), best first."""

Ranked = tuple[Row, float]
"""A chunk to show, and its score."""


class HybridRetriever:
    """Search in ``generation``; ``embedder`` must be the one it was built with."""

    def __init__(self, generation: IndexGeneration, embedder: Embedder, config: RagConfig) -> None:
        self._generation = generation.load()
        self._embedder = embedder
        self._config = config
        self._reranker = load_reranker(config.reranker) if config.reranker else None
        self._hashes: dict[str, str] = {}

    @property
    def info(self) -> GenerationInfo:
        return self._generation.info

    @property
    def labels(self) -> list[LabelCount]:
        """What searches can be filtered by (rag/labels.py)."""
        return self._generation.labels

    @property
    def page_hashes(self) -> Mapping[str, str]:
        """Page id -> content hash of the pages of this index."""
        return self._generation.manifest.page_hashes

    @property
    def by_words_alone(self) -> bool:
        """Whether the vectors are searched in a database that does not answer at the moment."""
        return isinstance(self._generation.vectors, StoredVectors) and self._generation.vectors.down

    def page(self, page_id: str) -> Page | None:
        """A page as it was when this index was built."""
        return self._generation.page(page_id)

    def chunks(self, page_id: str) -> list[Row]:
        """A page's chunks, as they are searched."""
        return self._generation.chunks(page_id)

    def pages(self, words: str = "", limit: int = 50, offset: int = 0) -> tuple[list[PageRow], int]:
        """Pages with all of ``words`` in title or url, by url; and how many there are."""
        return self._generation.find_pages(words, limit, offset)

    @property
    def embedder(self) -> Embedder:
        """The model that the index was built with."""
        return self._embedder

    @property
    def config(self) -> RagConfig:
        """What it searches by."""
        return self._config

    @property
    def reranker(self) -> str:
        """The name of the model that ranks last; "" where there is none."""
        return self._reranker.name if self._reranker else ""

    def page_hash(self, page_id: str) -> str:
        """The page's content hash when this index was built, "" for a page that it does not hold; remembered."""
        if page_id not in self._hashes:
            page = self.page(page_id)
            self._hashes[page_id] = page.content_hash if page else ""
        return self._hashes[page_id]

    @property
    def langs(self) -> Mapping[str, int]:
        """Language -> how many pages of the docs are in it."""
        found: Counter[str] = Counter()
        for entry in self.labels:
            found[entry.lang] += entry.pages
        return found

    def search(self, query: str, top_k: int | None = None, filters: Filters = ANY) -> list[Passage]:
        """The best passages, at most ``top_k`` (default from the configuration). An empty query finds nothing."""
        query = query.strip()[:MAX_QUERY_CHARS]
        wanted = self._config.top_k if top_k is None else top_k
        if not query or wanted < 1:
            return []
        mask = self._generation.mask(filters) if filters else None
        n = max(self._config.candidates, 2 * wanted)
        with stage("lexical"):
            lexical = self._lexical(query, n, mask)
        with stage("dense"):
            dense = self._dense(query, n, mask)
        with stage("fuse"):
            fused = self._fused(query, lexical, dense)
        return self._passages(query, self._chosen(query, fused, wanted), dict(lexical), dict(dense), dict(fused))

    def by_words(self, text: str, top_k: int, filters: Filters = ANY) -> list[Passage]:
        """The passages that share most words with ``text``: where it stands, if anywhere. Nothing is embedded."""
        text = text.strip()[:MAX_QUERY_CHARS]
        hits = self._lexical(text, top_k, self._generation.mask(filters) if filters else None)[:top_k]
        rows = self._generation.rows([chunk_id for chunk_id, _ in hits])
        ranked = [(row, score) for row, (_, score) in zip(rows, hits, strict=True)]
        return self._passages(text, ranked, dict(hits), {}, {})

    def sections(self, passages: Sequence[Passage], context: int | None = None) -> list[Section]:
        """What a model should read: of each passage its section, as far as the tokens reach for all of them.

        ``context``: what its engine takes (tokens). How much of that says [rag].
        """
        found = [passage.chunk_id for passage in passages]
        pieces = self._around(passages)
        pages = {page_id: self._generation.page(page_id) for page_id in {passage.page_id for passage in passages}}
        read = []
        for passage, (first, last) in zip(passages, widen(found, pieces, self._config.tokens(context)), strict=True):
            page, start, end = pages[passage.page_id], pieces[first].start, pieces[last].end
            assert page is not None  # a generation holds the pages of its chunks
            read.append(Section(page.id, page.title, passage.heading_path, page.body[start:end], start, end))
        return read

    def answerability(self, query: str, passages: Sequence[Passage]) -> Answerability:
        """Whether ``passages`` (as `search` gave them for ``query``) hold an answer; the first JUDGED tell."""
        query = query[:MAX_QUERY_CHARS]
        lang = detect_lang(query)
        knows = not self._embedder.langs or lang in self._embedder.langs
        knows = knows and not self.by_words_alone
        if lang not in self.langs:  # docs in other languages: only names and codes can stand there
            query = latin(query) or query
        weights, threshold = self.term_weights(query), self._config.refuse_below
        return judge(query, passages[:JUDGED], weights, knows, self.info.chunks, threshold)

    def term_weights(self, query: str) -> dict[str, float]:
        """Query term -> how much it tells, 0 (in every chunk) to 1 (in none), whatever the corpus' size."""
        return self._generation.term_weights(query)

    def _fused(self, query: str, lexical: Hits, dense: Hits) -> Hits:
        lang = detect_lang(query)
        knows = not self._embedder.langs or lang in self._embedder.langs
        sides = [(1.0, self._with_pages(query, lexical)), (1.0 if knows else _FOREIGN_DENSE, dense)]
        rankings = [(weight, [chunk_id for chunk_id, _ in self._own_first(hits, lang)]) for weight, hits in sides]
        return fuse(rankings)

    def _own_first(self, hits: Hits, lang: str) -> Hits:
        """The hits with those in the question's language lifted: far better ones in another still come before them."""
        own = self._generation.in_lang([chunk_id for chunk_id, _ in hits], lang)
        lifted = [(item, score * (_OWN_LANG if same else 1.0)) for (item, score), same in zip(hits, own, strict=True)]
        return sorted(lifted, key=lambda hit: (-hit[1], hit[0]))

    def _with_pages(self, query: str, lexical: Hits) -> Hits:
        """BM25's hits with what their pages' own scores add."""
        if not lexical:
            return []
        bm25, chunk_pages = self._generation.bm25, self._generation.chunk_pages
        ids = [bm25.vocab_dict[token] for token in dict.fromkeys(tokenize(query)) if token in bm25.vocab_dict]
        pages = chunk_pages[[chunk_id for chunk_id, _ in lexical]]
        added = WEIGHT * page_scores(bm25, ids, chunk_pages, self._generation.page_lengths, pages)
        return [(chunk_id, score + float(more)) for (chunk_id, score), more in zip(lexical, added, strict=True)]

    def _chosen(self, query: str, ranked: Hits, wanted: int) -> list[Ranked]:
        """The chunks to show: reranked where a reranker is set, nothing twice, no page everywhere.

        Docs in several versions say nearly everything several times, so it may take more than a few candidates.
        """
        depth = max(2 * wanted, self._config.rerank_candidates if self._reranker else 0)
        while len(chosen := self._best(query, ranked[:depth], wanted)) < wanted and depth < len(ranked):
            depth *= 2
        return chosen

    def _best(self, query: str, ranked: Hits, wanted: int) -> list[Ranked]:
        rows = self._generation.rows([chunk_id for chunk_id, _ in ranked])
        scores = [score for _, score in ranked]
        if self._reranker and rows:
            with stage("rerank"):
                scores = self._reranker.scores(query, [f"{row.context}\n{row.text}" for row in rows])
        order = sorted(range(len(rows)), key=lambda i: -scores[i])  # stable: equals stay in the order of the search
        pages, texts = [rows[i].page_id for i in order], [rows[i].text for i in order]
        kept = diversify(pages, texts, wanted, self._config.per_page)
        return [(rows[order[position]], scores[order[position]]) for position in kept]

    def _around(self, passages: Sequence[Passage]) -> dict[int, Piece]:
        """The passages and the chunks of their sections near them, by chunk id."""
        under = {(passage.page_id, passage.heading_path) for passage in passages}
        near = {n for p in passages for n in range(p.chunk_id - REACH, p.chunk_id + REACH + 1)}
        rows = self._generation.rows(sorted(n for n in near if 0 <= n < self.info.chunks))
        return {
            row.chunk_id: Piece(
                row.chunk_id, row.page_id, row.heading_path, row.start, row.end, estimate_tokens(row.text)
            )
            for row in rows
            if (row.page_id, row.heading_path) in under
        }

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

    def _passages(
        self,
        query: str,
        ranked: Sequence[Ranked],
        lexical: dict[int, float],
        dense: dict[int, float],
        fused: dict[int, float],
    ) -> list[Passage]:
        ranks = [{chunk_id: n for n, chunk_id in enumerate(side, start=1)} for side in (lexical, dense, fused)]
        wanted = list(dict.fromkeys(tokenize(query)))
        passages = []
        for rank, (row, score) in enumerate(ranked, start=1):
            chunk_id = row.chunk_id
            why = Why(
                bm25_rank=ranks[0].get(chunk_id),
                bm25_score=lexical.get(chunk_id, 0.0),
                dense_rank=ranks[1].get(chunk_id),
                dense_score=dense.get(chunk_id, 0.0),
                terms=self._generation.holds(chunk_id, wanted),
                fused_rank=ranks[2].get(chunk_id),
                fused_score=fused.get(chunk_id, 0.0),
                rerank_score=score if self._reranker and fused else None,
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
