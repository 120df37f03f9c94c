"""Where a crawl begins: robots.txt, then the start page, the pages of llms.txt and those of the sitemaps."""

from __future__ import annotations

from collections.abc import AsyncIterator

from data.errors import RefusedAddress, UnreachableSource
from data.web.crawl import Crawl
from data.web.fetch import FailedFetch, Fetcher, Reply, UnwantedReply
from data.web.hints import Robots, llms_links, parse_sitemap
from data.web.links import Scope

_MAX_SITEMAPS = 500


async def read_robots(fetcher: Fetcher, scope: Scope) -> Robots:
    """RFC 9309: where there is no such file everything is allowed; a server in trouble allows nothing.

    UnreachableSource then, for a sync that may read nothing must not look like a site without pages.
    """
    url = f"{scope.origin}/robots.txt"
    try:
        reply = await fetcher.follow(url)
    except (FailedFetch, UnwantedReply) as error:
        raise UnreachableSource(f"{url}: {error}; nothing was removed; try again later") from None
    if reply.status >= 500:
        raise UnreachableSource(f"{url}: answered {reply.status}; nothing was removed; try again later")
    return Robots(reply.body[:500_000].decode("utf-8", errors="replace") if reply.status == 200 else "")


async def seed(crawl: Crawl, fetcher: Fetcher, start: str) -> None:
    """Fill the queue. What could not be read leaves the crawl incomplete, so that no page is missed for it."""
    listed = await _listed(crawl, fetcher) if crawl.config.llms == "auto" else []
    pages = [page async for page in _sitemap_pages(crawl, fetcher)]
    with crawl.state.writing():
        crawl.state.add(start, 0)
        crawl.seed(listed, 1, listed=True)
        crawl.seed(pages, 1)
        if crawl.complete:
            crawl.state.seeded()


async def _listed(crawl: Crawl, fetcher: Fetcher) -> list[str]:
    for url in beside(crawl.scope, "llms.txt"):
        reply = await optional(crawl, fetcher, url)
        if reply and reply.content_type != "text/html":
            return llms_links(reply.body.decode("utf-8", errors="replace"), reply.url)
    return []


async def _sitemap_pages(crawl: Crawl, fetcher: Fetcher) -> AsyncIterator[str]:
    """The crawl's pages in all sitemaps that robots.txt names, else in sitemap.xml, and in those that these name."""
    left = crawl.robots.sitemaps or beside(crawl.scope, "sitemap.xml")
    seen = set(left)
    found = 0
    while left and len(seen) <= _MAX_SITEMAPS and found <= crawl.config.max_pages:
        url = left.pop(0)
        reply = await optional(crawl, fetcher, url)
        if reply is None:
            continue
        sitemap = parse_sitemap(reply.body, reply.url, fetcher.max_bytes)
        fresh = [address for address in sitemap.sitemaps if address not in seen]
        seen.update(fresh)
        left += fresh
        for page in filter(crawl.scope.admit, sitemap.pages):
            yield page
            found += 1


async def optional(crawl: Crawl, fetcher: Fetcher, url: str) -> Reply | None:
    """A file that a site may offer; None where it does not."""
    try:
        reply = await fetcher.follow(url)
    except (UnwantedReply, RefusedAddress):
        return None
    except FailedFetch as failure:
        crawl.complete = False
        crawl.ledger.report.failed.append((url, str(failure)))
        return None
    return reply if reply.status == 200 else None


def beside(scope: Scope, name: str) -> list[str]:
    """Where such a file may lie: in the crawl's folder and at the root."""
    folder = scope.origin + scope.folder.rstrip("/") + "/"
    return list(dict.fromkeys([folder + name, f"{scope.origin}/{name}"]))
