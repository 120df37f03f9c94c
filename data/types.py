"""The types that cross package borders. Plain frozen dataclasses: no I/O, no heavy imports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


def page_id(url: str) -> str:
    """Stable short id of a page: the first 16 hex digits of sha256(url)."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def content_hash(title: str, body: str) -> str:
    """sha256 (hex) of what a reader sees: title and body, nothing that changes from fetch to fetch."""
    return hashlib.sha256(f"{title}\n{body}".encode()).hexdigest()


@dataclass(frozen=True)
class Page:
    """One clean page of documentation.

    ``url`` is the path relative to the source folder (POSIX slashes), behind ``base_url`` where one is set.
    ``body`` is Markdown without the title line repeated. ``lang`` is an ISO 639-1 code such as ``en`` or ``zh``.
    ``labels`` holds ``product`` and ``version`` where known. ``fetched_at`` is seconds since the epoch (UTC).
    """

    url: str
    title: str
    body: str
    lang: str = "en"
    labels: Mapping[str, str] = field(default_factory=dict)
    fetched_at: float = 0.0
    source: str = ""

    @property
    def id(self) -> str:
        return page_id(self.url)

    @property
    def content_hash(self) -> str:
        return content_hash(self.title, self.body)


@dataclass(frozen=True)
class Filters:
    """Keep only pages whose labels match; an empty field matches everything."""

    product: str = ""
    version: str = ""
    lang: str = ""

    def __bool__(self) -> bool:
        return bool(self.product or self.version or self.lang)


ANY = Filters()
"""No filter."""
