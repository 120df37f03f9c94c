"""What a site says about itself: robots.txt, sitemaps, llms.txt. Pure functions over fetched text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.web.document import markdown_links
from data.web.fetch import ROBOT, Unpacker, UnwantedReply
from data.web.links import normalise

if TYPE_CHECKING:
    from protego import Protego

_MAX_ENTRIES = 50_000
"""Of one sitemap file; the format allows no more (https://www.sitemaps.org/protocol.html)."""


class Robots:
    """robots.txt as RFC 9309 reads it; ``text`` is empty where the site has none."""

    def __init__(self, text: str = "") -> None:
        from protego import Protego

        self._rules: Protego = Protego.parse(text)
        self.sitemaps = [url for entry in self._rules.sitemaps if (url := normalise(entry))]
        self.delay = float(self._rules.crawl_delay(ROBOT) or 0.0)

    def allows(self, url: str) -> bool:
        return bool(self._rules.can_fetch(url, ROBOT))


@dataclass(frozen=True)
class Sitemap:
    """``pages``, the latest changed first (a hint for the order and nothing else); ``sitemaps`` of a sitemap index."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


def parse_sitemap(body: bytes, url: str, max_bytes: int) -> Sitemap:
    """XML (gzipped or not) or one address a line; what is broken in it is passed over."""
    if body[:2] == b"\x1f\x8b":
        try:
            unpacker = Unpacker("gzip", max_bytes)
            unpacker.feed(body)
            body = unpacker.done()
        except UnwantedReply:
            return Sitemap()
    if body.lstrip()[:1] != b"<":
        lines = body.decode("utf-8", errors="replace").splitlines()[:_MAX_ENTRIES]
        return Sitemap(tuple(found for line in lines if line.startswith("http") and (found := normalise(line, url))))
    pages, sitemaps = [], []
    for kind, location, changed in _entries(body):
        found = normalise(location, url)
        if found:
            (sitemaps.append(found) if kind == "sitemap" else pages.append((changed, found)))
    pages.sort(key=lambda entry: entry[0], reverse=True)
    return Sitemap(tuple(dict.fromkeys(found for _, found in pages)), tuple(dict.fromkeys(sitemaps)))


def _entries(body: bytes) -> Iterator[tuple[str, str, str]]:
    """(url or sitemap, loc, lastmod) of each entry. No entities are expanded, no DTD is read."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return
    for entry in list(root)[:_MAX_ENTRIES]:
        fields = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in entry}
        kind = entry.tag.rpartition("}")[2]
        if fields.get("loc") and kind in ("url", "sitemap"):
            yield kind, fields["loc"], fields.get("lastmod", "")


def llms_links(text: str, url: str) -> list[str]:
    """The pages that llms.txt lists (https://llmstxt.org)."""
    return list(dict.fromkeys(markdown_links(text, url)))


def llms_pages(text: str, url: str) -> Iterator[tuple[str, str]]:
    """(address, Markdown) of each page in llms-full.txt: a top heading outside of code begins a page.

    A line ``Source: https://...`` below it is the page's address; a page without one is a fragment of ``url``.
    """
    taken: set[str] = set()
    for part in _top_sections(text):
        title = part.lstrip("# ").partition("\n")[0]
        source = re.search(
            r"^(?:Source|URL):\s*<?(https?://[^>\s]+)>?[ \t]*\n?", part[:2000], re.MULTILINE | re.IGNORECASE
        )
        slug = re.sub(r"\W+", "-", title.lower()).strip("-")[:80] or "page"
        address = (normalise(source[1]) if source else "") or f"{url}#{slug}"
        while address in taken:
            address += "-2" if "#" in address else f"#{slug}"
        taken.add(address)
        yield address, part.replace(source[0], "", 1) if source else part


def _top_sections(text: str) -> Iterator[str]:
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        opened = re.match(r"\s*(```+|~~~+)", line)
        if opened:
            fence = "" if fence and opened[1].startswith(fence) else fence or opened[1]
        elif line.startswith("# ") and not fence and any(part.strip() for part in lines):
            yield "\n".join(lines)
            lines = []
        lines.append(line)
    yield "\n".join(lines)
