"""Addresses as text: one spelling for each, which of them belong to a crawl, and which are twins of one another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from urllib.parse import urljoin, urlsplit

_TRACKING = re.compile(
    r"(utm_\w+|gclid|dclid|fbclid|msclkid|yclid|igshid|mc_[ce]id|_g[al]|_hs\w+|phpsessid|jsessionid|sid|sessionid)",
    re.IGNORECASE,
)
_NEVER_PAGES = re.compile(
    "png|jpe?g|gif|svg|webp|avif|ico|bmp|tiff?|css|m?js|map|json|xml|rss|atom|woff2?|ttf|otf|eot|mp[34]|webm|og[gv]|wav|"
    "avi|mov|zip|gz|tgz|bz2|xz|7z|rar|tar|jar|war|whl|deb|rpm|exe|msi|dmg|iso|bin|so|dll|class|o|a|csv|tsv|xlsx?|pptx?|"
    "od[tsp]|epub|mobi|ps|sig|asc|sha\\d+|md5|inv|wasm|py|c|h|cpp|java|go|rs"
)
_PAGE_SUFFIXES = frozenset({".html", ".htm", ".xhtml", ".md", ".markdown", ".txt", ".php", ".asp", ".aspx", ".jsp"})
_INDEX = re.compile(r"/index\.(html?|xhtml|php)$")
_MAX_SEGMENTS = 30


def normalise(href: str, base: str = "") -> str:
    """The one spelling of an address: absolute, without fragment and tracking parameters; "" when it is none."""
    from yarl import URL

    href = href.strip()
    if re.search(r"[\x00-\x1f\x7f\\]", href):
        return ""
    try:
        joined = urljoin(base, href)
        if not joined.lower().startswith(("http://", "https://")):
            return ""
        url = URL(joined).with_fragment(None)
        query = [pair for pair in url.raw_query_string.split("&") if not _TRACKING.fullmatch(pair.partition("=")[0])]
        path = re.sub(r";jsessionid=\w+", "", url.raw_path, flags=re.IGNORECASE) or "/"
        return f"{url.origin()}{path}" + (f"?{'&'.join(query)}" if any(query) else "")
    except ValueError:
        return ""


@dataclass(frozen=True)
class Scope:
    """What belongs to a crawl: one host, below one folder, and the paths that include and exclude leave."""

    origin: str
    folder: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def around(cls, url: str, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Scope:
        """The folder of ``url``: ``/docs/`` for /docs/ and /docs/intro.html, ``/docs`` and below for /docs."""
        parts = urlsplit(url)
        path = parts.path or "/"
        if PurePosixPath(path).suffix.lower() in _PAGE_SUFFIXES:
            path = path.rpartition("/")[0] + "/"
        return cls(f"{parts.scheme}://{parts.netloc}", path, include, exclude)

    def admit(self, url: str) -> str:
        """The normalised ``url`` in this site's spelling, or "" when it is outside of the crawl."""
        url = self.respell(url)
        return url if url and self._below(url) and self.selects(url) else ""

    def respell(self, url: str) -> str:
        """http and https of the same host are one site; "" for another site, or for what is never a page."""
        parts = urlsplit(url)
        ours = urlsplit(self.origin)
        other_scheme = {parts.scheme, ours.scheme} == {"http", "https"} and parts.netloc == ours.netloc
        if parts.netloc != ours.netloc or (parts.scheme != ours.scheme and (":" in parts.netloc or not other_scheme)):
            return ""
        return (
            ""
            if _is_trap(parts.path) or _NEVER_PAGES.fullmatch(_suffix(url))
            else self.origin + url[len(_origin(url)) :]
        )

    def _below(self, url: str) -> bool:
        path = urlsplit(url).path
        return path.startswith(self.folder if self.folder.endswith("/") else f"{self.folder}/") or path == self.folder

    def selects(self, url: str) -> bool:
        """Whether include and exclude leave it."""
        if self.include and not any(_matches(url, pattern) for pattern in self.include):
            return False
        return not any(_matches(url, pattern) for pattern in self.exclude)


def _matches(url: str, pattern: str) -> bool:
    """A pattern with ``*``, ``?`` or ``[`` must match the whole path, any other its beginning; with ``://`` the URL."""
    whole = url if "://" in pattern else urlsplit(url).path
    pattern = pattern if pattern.startswith(("/", "*")) or "://" in pattern else f"/{pattern}"
    return fnmatchcase(whole, pattern) if re.search(r"[*?\[]", pattern) else whole.startswith(pattern)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _suffix(url: str) -> str:
    return PurePosixPath(urlsplit(url).path).suffix.lower().lstrip(".")


def _is_trap(path: str) -> bool:
    """Relative links that a server answers at any depth grow paths without end: /a/b/a/b/a/b/..."""
    segments = [segment for segment in path.split("/") if segment]
    return len(segments) > _MAX_SEGMENTS or any(segments.count(segment) > 4 for segment in set(segments))


def is_markdown(url: str) -> bool:
    """Whether the address promises the Markdown text of a page."""
    return _suffix(url) in ("md", "markdown")


def index_form(url: str) -> str:
    """``/guide/index.html`` and ``/guide/`` are one page: the latter."""
    path, mark, query = url.partition("?")
    return _INDEX.sub("/", path) + mark + query


def twin_key(url: str) -> str:
    """The same for a page and its Markdown twin: /a, /a/, /a.html, /a.md, /a.html.md, /a/index.md -> /a."""
    key = url
    for ending in (r"\.(md|markdown)$", r"\.(html?|xhtml)$", r"/index$", r"/$"):
        key = re.sub(ending, "", key)
    return key
