"""One fetched document, read: its page, its links, and what it says about itself (canonical address, robots).

`read_document` is pure and runs beside the event loop: in a thread for the first texts of a crawl, in processes of its
own for the rest, where a document that kills its converter harms nobody else.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from data.convert import Converted, convert
from data.errors import UnreadableDocument
from data.processes import process_pool
from data.text import decode, decodes
from data.web.links import normalise

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_SUFFIXES = {"text/html": ".html", "application/xhtml+xml": ".html", "text/markdown": ".md", "text/x-markdown": ".md"}
_READ = re.compile(
    r"text/(?!css|javascript|calendar|csv|xml|vtt)|application/(pdf|xhtml\+xml|msword|octet-stream|vnd\.)|$"
)
_MAX_LINKS = 5_000
_IN_THREAD = 32
"""Texts read before processes are started, which takes half a second."""


def wanted(content_type: str) -> str:
    """Why an answer of that type is not read; "" for what may be a document."""
    return "" if _READ.match(content_type) else f"{content_type[:60]} is not a kind of document that is read"


@dataclass(frozen=True)
class Document:
    """``converted`` is None when there is no page in it; ``reason`` then says why. Links are normalised."""

    links: tuple[str, ...] = ()
    canonical: str = ""
    noindex: bool = False
    html: bool = False
    converted: Converted | None = None
    reason: str = ""
    keep: bool = False


def read_document(body: bytes, url: str, content_type: str, charset: str = "") -> Document:
    """Every failure becomes a reason; nothing is raised."""
    body = _as_utf8(body, charset) if charset else body
    name = _name(url, content_type)
    html = content_type in _HTML or (not content_type and body[:1024].lstrip()[:1] == b"<")
    try:
        seen = _look(body, url, html) if html or name.endswith((".md", ".markdown", ".txt")) else Document()
        if seen.noindex:
            return _with(seen, html, reason="its meta tag says noindex")
        return _with(seen, html, converted=convert(body, name, url))
    except UnreadableDocument as error:
        return _with(seen, html, reason=str(error))
    except Exception as error:  # a converter's bug on one page must not end the crawl of all the others
        return Document(html=html, reason=f"could not be converted ({type(error).__name__}: {error})"[:300], keep=True)


def _with(seen: Document, html: bool, converted: Converted | None = None, reason: str = "") -> Document:
    return Document(seen.links, seen.canonical, seen.noindex, html, converted, reason)


def _as_utf8(body: bytes, charset: str) -> bytes:
    """The HTTP header's charset counts where the bytes are not UTF-8 anyway."""
    if charset.lower().replace("-", "") == "utf8" or decodes(body, "utf-8") or not decodes(body, charset):
        return body
    return body.decode(charset).encode()


def _name(url: str, content_type: str) -> str:
    """A file name for the converters, whose suffix fits the content type."""
    name = unquote(PurePosixPath(urlsplit(url).path).name) or "index"
    suffix = _SUFFIXES.get(content_type, "")
    return name if not suffix or name.lower().endswith((suffix, ".htm", ".xhtml", ".markdown")) else name + suffix


def _look(body: bytes, url: str, html: bool) -> Document:
    text = decode(body)
    if not html:
        return Document(links=tuple(dict.fromkeys(markdown_links(text, url)))[:_MAX_LINKS])
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    base_node = tree.css_first("base[href]")
    base = normalise((base_node.attributes.get("href") or "") if base_node else "", url) or url
    robots = _robots(tree)
    links = () if "nofollow" in robots else tuple(dict.fromkeys(_html_links(tree, base)))[:_MAX_LINKS]
    canonical = tree.css_first("head link[rel=canonical][href]")
    target = normalise((canonical.attributes.get("href") or "") if canonical else "", base)
    return Document(links, target, bool({"noindex", "none"} & robots))


def _robots(tree: LexborHTMLParser) -> set[str]:
    nodes = [
        node for node in tree.css("meta[name]") if (node.attributes["name"] or "").lower() in ("robots", "docduet")
    ]
    return {word for node in nodes for word in re.split(r"[,\s]+", (node.attributes.get("content") or "").lower())}


def _html_links(tree: LexborHTMLParser, base: str) -> Iterator[str]:
    """Where a reader could go from here. Images, scripts and style sheets are no such place."""
    for node in tree.css("a[href], area[href], frame[src], link[rel=next][href]"):
        if "nofollow" not in (node.attributes.get("rel") or ""):
            url = normalise(node.attributes.get("href") or node.attributes.get("src") or "", base)
            if url:
                yield url
    for node in tree.css("meta[http-equiv][content]"):
        found = re.search(r"url\s*=\s*['\"]?([^'\"\s]+)", node.attributes.get("content") or "", re.IGNORECASE)
        if found and (node.attributes.get("http-equiv") or "").lower() == "refresh":
            yield from filter(None, [normalise(found[1], base)])


def markdown_links(text: str, base: str) -> Iterator[str]:
    """The targets of inline links, reference links and <...> links; images are left out."""
    for found in re.finditer(
        r"(?<!!)\[[^\]\n]*\]\(<?([^)\s>]+)|^\[[^\]\n]+\]:\s*<?(\S+?)>?\s|<(https?://[^>\s]+)>", text, re.M
    ):
        url = normalise(found[1] or found[2] or found[3], base)
        if url:
            yield url


class Reader:
    """`read_document` without stopping the event loop. Use it as a context manager."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._read = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    async def read(self, body: bytes, url: str, content_type: str, charset: str = "") -> Document:
        """Read one document; one that kills its process gets that as its reason."""
        self._read += 1
        if self._read <= _IN_THREAD and content_type.startswith("text/") and not body.startswith((b"%PDF", b"PK")):
            return await asyncio.to_thread(read_document, body, url, content_type, charset)
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = process_pool(min(os.cpu_count() or 1, 8))
        pool = self._pool
        try:
            return await loop.run_in_executor(pool, read_document, body, url, content_type, charset)
        except BrokenProcessPool:  # this document or one beside it: alone it shows
            if self._pool is pool:
                self._pool = None
        with process_pool(1) as alone:
            try:
                return await loop.run_in_executor(alone, read_document, body, url, content_type, charset)
            except BrokenProcessPool:
                return Document(reason="crashed its converter; save the document anew and sync again", keep=True)
