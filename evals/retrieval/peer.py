"""The peer: LlamaIndex's stock pipeline, as its documentation builds it.

SentenceSplitter with its defaults (1,024 tokens, 200 overlap), FaissVectorStore over a flat index, VectorStoreIndex and
its retriever. The embedder is the one our own index uses, so the comparison is about everything else. This is the only
module outside rag that imports LlamaIndex: here it is what we compare with, not a part.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from data.types import Page
from evals.retrieval.systems import Hit
from rag.embed import Embedder


class LlamaIndexStock:
    """Built from ``pages`` into ``folder``, or opened from there when it was built with the same ``key``."""

    name = "llamaindex"

    def __init__(self, pages: Sequence[Page], embedder: Embedder, folder: Path, key: str) -> None:
        done = folder / "key"
        if done.is_file() and done.read_text() == key:
            self._index = _open(embedder, folder)
            return
        shutil.rmtree(folder, ignore_errors=True)
        self._index = _build(pages, embedder, folder)
        done.write_text(key)

    def search(self, question: str, depth: int) -> list[Hit]:
        found = self._index.as_retriever(similarity_top_k=depth).retrieve(question)
        return [Hit(hit.node.metadata["file_path"], hit.node.get_content()) for hit in found]


def _build(pages: Sequence[Page], embedder: Embedder, folder: Path) -> Any:
    import faiss
    from llama_index.core import Document, StorageContext, VectorStoreIndex
    from llama_index.core.node_parser import SentenceSplitter

    # SimpleDirectoryReader gives a file's whole text, and its path as metadata, which is embedded too.
    documents = [Document(text=f"# {page.title}\n\n{page.body}", metadata={"file_path": page.url}) for page in pages]
    dims = len(embedder.query("dimensions"))
    storage = StorageContext.from_defaults(vector_store=_store_class()(faiss_index=faiss.IndexFlatL2(dims)))
    index = VectorStoreIndex.from_documents(
        documents, storage_context=storage, embed_model=_embedding(embedder), transformations=[SentenceSplitter()]
    )
    folder.mkdir(parents=True, exist_ok=True)
    index.storage_context.persist(str(folder))
    return index


def _open(embedder: Embedder, folder: Path) -> Any:
    from llama_index.core import StorageContext, load_index_from_storage

    store = _store_class().from_persist_dir(str(folder))
    storage = StorageContext.from_defaults(vector_store=store, persist_dir=str(folder))
    return load_index_from_storage(storage, embed_model=_embedding(embedder))


def _store_class() -> Any:
    try:
        from llama_index.vector_stores.faiss import FaissVectorStore
    except ImportError:
        raise ConfigError("the peer is missing: pip install llama-index-vector-stores-faiss") from None
    return FaissVectorStore


def _embedding(embedder: Embedder) -> Any:
    """``embedder`` behind LlamaIndex's interface: the same vectors as its own HuggingFaceEmbedding gives."""
    from llama_index.core.embeddings import BaseEmbedding

    class Adapter(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return [float(value) for value in embedder.query(query)]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return self._get_text_embeddings([text])[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return [[float(value) for value in vector] for vector in embedder.documents(texts)]

    return Adapter(model_name=embedder.name, embed_batch_size=32)
