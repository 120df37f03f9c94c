"""What a site says about itself, against a real server: robots.txt, noindex, sitemaps, llms.txt, Markdown twins."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import web

from data.errors import SourceError, UnreachableSource
from data.store import PageStore
from tests.site_server import SiteServer, fill, page, paths, run, stored


def test_robots_txt(site: SiteServer, store: PageStore) -> None:
    fill(site)
    site["/robots.txt"] = "User-agent: *\nDisallow: /1.html\nAllow: /\n"
    run(site, store)
    assert (store.count(), site.requests["/1.html"]) == (6, 0)  # its children hang on it
    site["/robots.txt"] = "User-agent: docduet\nDisallow: /\n"
    with pytest.raises(SourceError, match=r"robots.txt forbids it.*nothing was removed"):
        run(site, store)
    assert store.count() == 6


def test_robots_txt_out_of_reach_stops_the_sync(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    site["/robots.txt"] = 503
    site.forget_counts()
    with pytest.raises(UnreachableSource, match=r"robots.txt: answered 503; nothing was removed"):
        run(site, store)
    assert (store.count(), set(site.requests)) == (12, {"/robots.txt"})


def test_noindex_pages_are_followed_not_stored(site: SiteServer, store: PageStore) -> None:
    async def header(request: web.Request) -> web.Response:
        return web.Response(text=page("H", "/b"), content_type="text/html", headers={"X-Robots-Tag": "noindex"})

    site["/"] = page("Start", "/m", "/h")
    site["/m"] = page("M", "/a", head='<meta name="robots" content="noindex">')
    site["/h"] = header
    site["/a"], site["/b"] = page("A"), page("B")
    run(site, store)
    assert stored(site, store) == ["/", "/a", "/b"]


def test_sitemaps_bring_pages_that_nobody_links_to(site: SiteServer, store: PageStore) -> None:
    def sitemap(kind: str, entry: str, *locations: str) -> str:
        entries = "".join(
            f"<{entry}><loc>{site.url}{path}</loc><lastmod>2000-01-01</lastmod></{entry}>" for path in locations
        )
        return f'<{kind} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</{kind}>'

    site["/"] = page("Start")
    site["/a"], site["/b"], site["/c"] = page("A"), page("B"), page("C")
    site["/robots.txt"] = f"Sitemap: {site.url}/map.xml\n"
    site["/map.xml"] = sitemap("sitemapindex", "sitemap", "/one.xml", "/two.xml.gz", "/map.xml")
    site["/one.xml"] = sitemap("urlset", "url", "/a", "/b")
    site["/two.xml.gz"] = gzip.compress(sitemap("urlset", "url", "/c", "/missing").encode())
    run(site, store)
    assert stored(site, store) == ["/", "/a", "/b", "/c"]
    site["/a"] = page("A, changed although its lastmod says otherwise")
    assert paths(site, run(site, store).changed) == ["/a"]


def test_a_sitemap_out_of_reach_is_no_loss(site: SiteServer, store: PageStore) -> None:
    site["/"], site["/a"] = page("Start"), page("A")
    site["/sitemap.xml"] = f"<urlset><url><loc>{site.url}/a</loc></url></urlset>"
    run(site, store)
    site["/sitemap.xml"] = 500
    report = run(site, store, grace_syncs=1)
    assert (report.removed, [url for url, _ in report.failed]) == ([], [f"{site.url}/sitemap.xml"])
    site["/sitemap.xml"] = 404
    assert paths(site, run(site, store, grace_syncs=1).removed) == ["/a"]


@pytest.mark.parametrize("last", ["/", "/index.md", "/d.html.md", "/d.html", "/d.md", "/a.md"])
def test_llms_txt_names_the_markdown_twins(site: SiteServer, store: PageStore, last: str) -> None:
    """Each page once: as Markdown where llms.txt names it and it is there, else as HTML; whichever answers last."""
    site.slow[last] = 0.1
    site["/"] = page("Start", "a.html", "b.html", "c/", "d.html", "d.md")
    site["/llms.txt"] = (
        "# Docs\n\n- [A](a.md)\n- [B](/b.html.md)\n- [C](c/index.md)\n- [Gone](d.html.md)\n- [Home](index.md)\n"
    )
    for name in ("/a", "/b", "/d"):
        site[f"{name}.html"] = page(f"HTML {name}")
    site["/c/"] = page("HTML /c")
    site["/a.md"], site["/b.html.md"], site["/c/index.md"] = (
        "# Markdown a\n\nText.",
        "# Markdown b\n\nText.",
        "# Markdown c\n\nText.",
    )
    site["/d.md"], site["/index.md"] = "# Markdown d\n\nText.", "# Markdown start\n\nText."
    run(site, store)
    assert stored(site, store) == ["/a.md", "/b.html.md", "/c/index.md", "/d.html", "/index.md"]
    assert not site.requests["/a.html"]
    assert run(site, store).touched is False
    off = PageStore(store.path.with_name("off.sqlite"))
    run(site, off, llms="off")
    assert stored(site, off) == ["/", "/a.html", "/b.html", "/c/", "/d.html"]


def test_markdown_twins_that_are_html_after_all(site: SiteServer, store: PageStore) -> None:
    async def shell(request: web.Request) -> web.Response:
        return web.Response(text=page("App"), content_type="text/html")

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.2)  # a.md is read before anything leads to its twin
        return web.Response(text=page("Start", "a"), content_type="text/html")

    site["/"] = slow
    site["/a"] = page("A")
    site["/llms.txt"] = "- [A](a.md)\n- [B](b.md)\n"
    site["/a.md"] = site["/b.md"] = shell
    run(site, store)
    assert stored(site, store) == ["/", "/a", "/b.md"]


def test_llms_full_txt(site: SiteServer, store: PageStore) -> None:
    site["/llms-full.txt"] = f"# One\nSource: {site.url}/one\n\nFirst text.\n\n# Two\n\nSecond text.\n"
    report = run(site, store, llms="full")
    assert paths(site, report.added) == ["/llms-full.txt#two", "/one"]
    assert len(run(site, store, llms="full").unchanged) == 2
    assert set(site.requests) == {"/robots.txt", "/llms-full.txt"}
    site["/llms-full.txt"] = 404
    with pytest.raises(SourceError, match=r"llms-full.txt answered 404.*--llms full"):
        run(site, store, llms="full")
    assert store.count() == 2
