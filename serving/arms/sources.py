"""A source: the passage behind a citation marker, as a reader sees it.

Pure. Where a source leads: the page's own address when it is on the web, else the gateway's copy of the page with the
quote highlighted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote as url_quote

from rag.lexical import spans
from rag.types import Passage

QUOTE_IN_LINK = 300  # characters of the quote that travel in a link: enough to find it, short enough for any browser


@dataclass(frozen=True)
class Source:
    """``n`` is the number in the answer; ``marks`` are the offsets of the question's words in ``quote``."""

    n: int
    page_id: str
    url: str
    title: str
    heading_path: tuple[str, ...]
    quote: str
    marks: tuple[tuple[int, int], ...]
    lang: str
    score: float
    product: str = ""
    version: str = ""

    @property
    def name(self) -> str:
        """Title and heading path in one line."""
        return " > ".join([self.title, *(part for part in self.heading_path if part != self.title)])

    def href(self, public_url: str) -> str:
        """Where the citation leads, always absolute. ``public_url``: the gateway's address without a trailing slash."""
        if self.url.startswith(("http://", "https://")):
            return self.url
        return f"{public_url}/pages/{self.page_id}?quote={url_quote(self.quote[:QUOTE_IN_LINK], safe='')}"


def source_of(passage: Passage, number: int, terms: Sequence[str]) -> Source:
    """The source that ``passage`` becomes when it is the ``number``-th to be cited."""
    return Source(
        n=number,
        page_id=passage.page_id,
        url=passage.url,
        title=passage.title,
        heading_path=passage.heading_path,
        quote=passage.text,
        marks=tuple(spans(passage.text, terms)),
        lang=passage.lang,
        score=passage.score,
        product=passage.product,
        version=passage.version,
    )
