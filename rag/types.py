"""What retrieval hands out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Why:
    """Why a passage was found. Ranks count from 1; None where that side did not return it.

    ``bm25_score`` is BM25's own scale; ``dense_score`` is a cosine similarity in [-1, 1]; ``terms`` are the query
    terms (as the lexical side cut them) that stand in the passage. ``fused_rank`` and ``fused_score`` are both sides
    together; ``rerank_score`` is None where no reranker is set.
    """

    bm25_rank: int | None = None
    bm25_score: float = 0.0
    dense_rank: int | None = None
    dense_score: float = 0.0
    terms: tuple[str, ...] = ()
    fused_rank: int | None = None
    fused_score: float = 0.0
    rerank_score: float | None = None


@dataclass(frozen=True)
class Passage:
    """One retrieved chunk. ``start``/``end`` are character offsets into the page's Markdown body (end exclusive).

    ``score`` is the fused score (higher is better), ``rank`` counts from 1.
    """

    chunk_id: int
    page_id: str
    url: str
    title: str
    heading_path: tuple[str, ...]
    text: str
    start: int
    end: int
    lang: str
    product: str
    version: str
    score: float
    rank: int
    why: Why
