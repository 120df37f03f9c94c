"""DocDuet's retriever for LlamaIndex: plug it into any query engine, chat engine or agent.

    from data.home import Home
    from rag.config import RagConfig
    from rag.live import LiveIndex
    from rag.llamaindex import DocDuetRetriever

    retriever = DocDuetRetriever(LiveIndex(Home.from_env(), RagConfig()), top_k=5)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)

Each query asks for the index that is live then, so a long-running program follows a sync. Importing this module imports
llama_index.
"""

from __future__ import annotations

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from data.types import ANY, Filters
from rag.live import LiveIndex
from rag.types import Passage

HIDDEN = ["page_id", "lang", "start", "end", "product", "version"]
"""Metadata that neither an LLM nor an embedder is shown."""


class DocDuetRetriever(BaseRetriever):
    """Hybrid passages as nodes: metadata url, title, heading_path, lang and more; offsets into the page's Markdown."""

    def __init__(self, live: LiveIndex, top_k: int | None = None, filters: Filters = ANY) -> None:
        super().__init__()
        self._live = live
        self._top_k = top_k
        self._filters = filters

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        passages = self._live.retriever().search(query_bundle.query_str, self._top_k, self._filters)
        return [NodeWithScore(node=_node(passage), score=passage.score) for passage in passages]


def _node(passage: Passage) -> TextNode:
    return TextNode(
        id_=f"{passage.page_id}:{passage.start}-{passage.end}",
        text=passage.text,
        start_char_idx=passage.start,
        end_char_idx=passage.end,
        metadata={
            "url": passage.url,
            "title": passage.title,
            "heading_path": " > ".join(passage.heading_path),
            "page_id": passage.page_id,
            "lang": passage.lang,
            "product": passage.product,
            "version": passage.version,
        },
        excluded_llm_metadata_keys=HIDDEN,
        excluded_embed_metadata_keys=HIDDEN,
    )
