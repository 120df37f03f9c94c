"""[rag] in docduet.toml."""

from __future__ import annotations

from pydantic import Field

from data.settings import Table


class RagConfig(Table):
    """Chunks, models and the number of passages."""

    embedder: str = Field("minilm", description="'minilm' (bundled, offline) or any sentence-transformers model name or folder.")
    chunk_tokens: int = Field(220, gt=31, description="Largest chunk, in the embedder's tokens.")
    top_k: int = Field(6, gt=0, le=50, description="Passages handed to the model.")
