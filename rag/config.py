"""[rag] in docduet.toml."""

from __future__ import annotations

from pydantic import Field

from data.settings import Table


class RagConfig(Table):
    """Chunks, models and the number of passages."""

    embedder: str = Field(
        "minilm", description="'minilm' (bundled, offline) or any sentence-transformers model name or folder."
    )
    chunk_tokens: int = Field(220, gt=31, description="Largest chunk, in the embedder's tokens.")
    whole_tokens: int = Field(660, ge=0, description="Tables and code blocks of up to so many tokens stay whole.")
    top_k: int = Field(6, gt=0, le=50, description="Passages that a search finds, and that answers are quoted from.")
    wide_top_k: int = Field(
        15, gt=0, le=50, description="Passages handed to a model whose engine takes twice `wide_context_tokens`."
    )
    refuse_below: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Without an engine, questions are refused that the docs answer with a smaller probability.",
    )
    keep_generations: int = Field(3, ge=2, le=100, description="Index generations kept, the live one included.")
    vector_store: str = Field(
        "",
        repr=False,
        description="Where vectors lie: '' (files of the index) or postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
    )
    candidates: int = Field(50, ge=10, le=1000, description="Chunks each side (BM25, vectors) puts up for fusion.")
    per_page: int = Field(
        0, ge=0, le=50, description="Passages of one page, as long as others are found; 0: any number."
    )
    context_tokens: int = Field(
        2400, ge=0, description="What a model reads in all: passages grow to their sections up to so many tokens."
    )
    wide_context_tokens: int = Field(
        6000, ge=0, description="The same for a model whose engine takes at least twice as many; 0: for none."
    )
    reranker: str = Field(
        "", description="A cross-encoder that reads the best passages again: name or folder; empty: none."
    )
    rerank_candidates: int = Field(20, ge=1, le=200, description="Passages the reranker reads.")

    def passages(self, context: int | None) -> int:
        """How many passages a model reads whose engine takes ``context`` tokens (None: it does not say)."""
        return max(self.top_k, self.wide_top_k) if self._wide(context) else self.top_k

    def tokens(self, context: int | None) -> int:
        """... and how many tokens in all."""
        return max(self.context_tokens, self.wide_context_tokens) if self._wide(context) else self.context_tokens

    def _wide(self, context: int | None) -> bool:
        return context is not None and 0 < 2 * self.wide_context_tokens <= context
