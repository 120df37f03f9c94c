"""What a judge is shown of the documentation: the pages of this home or its demonstration, or those of the set.

Pages as they are now: an answer that was right by an older page may be judged wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from data.home import Home
from data.store import PageStore
from data.types import Page
from rag.chunk import chunk_page
from rag.config import RagConfig
from rag.lexical import tokenize

BUDGET = 12_000
"""Characters of all excerpts together: some 3,600 tokens, which leaves room in a context of 8,192."""


class Pages:
    """``corpus``: pages that a question set brings along."""

    def __init__(self, home: Home, corpus: Iterable[Page] = ()) -> None:
        self._stores = [PageStore(place.pages) for place in (home, home.demo)]
        self._brought = {page.url: page for page in corpus}

    def find(self, url: str) -> Page | None:
        """The page with this url."""
        found = (store.find(url) for store in self._stores)
        return self._brought.get(url) or next((page for page in found if page), None)

    def excerpts(self, urls: Iterable[str], near: str) -> str:
        """The pages, or, where they are too long together, what of them shares most words with ``near``, in order."""
        pages = [page for url in dict.fromkeys(urls) if (page := self.find(url))]
        sizes = RagConfig()
        chunks = [
            (f"[{chunk.context}]\n{chunk.text}", frozenset(tokenize(chunk.searchable)))
            for page in pages
            for chunk in chunk_page(page, sizes.chunk_tokens, sizes.whole_tokens)
        ]
        wanted = frozenset(tokenize(near))
        best = sorted(range(len(chunks)), key=lambda n: (-len(wanted & chunks[n][1]), n))
        kept, left = [], BUDGET
        for n in best:
            size = len(chunks[n][0])
            if size <= left:
                kept.append(n)
                left -= size
        return "\n\n".join(chunks[n][0] for n in sorted(kept))
