"""Addresses, robots.txt, sitemaps and llms.txt as text; no network."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.web.document import read_document, wanted
from data.web.hints import Robots, llms_links, llms_pages, parse_sitemap
from data.web.links import Scope, index_form, normalise, twin_key
from tests.site_server import page

BASE = "https://docs.example.com/guide/a.html"


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("b.html", "https://docs.example.com/guide/b.html"),
        ("../c.html#part", "https://docs.example.com/c.html"),
        ("#part", BASE),
        ("?page=2&utm_source=x&gclid=1", f"{BASE}?page=2"),
        ("?utm_source=x", BASE),
        ("HTTPS://DOCS.Example.com:443/x", "https://docs.example.com/x"),
        ("https://docs.example.com", "https://docs.example.com/"),
        ("/ä b", "https://docs.example.com/%C3%A4%20b"),
        ("/x;jsessionid=1A2B", "https://docs.example.com/x"),
        ("mailto:a@b.example", ""),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("http://a\\@b/", ""),
        ("http://[::1", ""),
        ("http://x:99999/", ""),
        ("", BASE),
    ],
)
def test_one_spelling(href: str, url: str) -> None:
    assert normalise(href, BASE) == url


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing_and_never_fails(href: str) -> None:
    once = normalise(href, BASE)
    assert normalise(once, BASE) == (once or BASE)


@pytest.mark.parametrize(
    ("start", "inside", "outside"),
    [
        (
            "https://d.example/",
            ["https://d.example/a/b", "http://d.example/x"],
            ["https://e.example/", "https://d.example:8443/"],
        ),
        ("https://d.example/docs/", ["https://d.example/docs/", "https://d.example/docs/a"], ["https://d.example/doc"]),
        ("https://d.example/docs", ["https://d.example/docs", "https://d.example/docs/a"], ["https://d.example/docs2"]),
        ("https://d.example/docs/i.html", ["https://d.example/docs/b"], ["https://d.example/"]),
        ("https://d.example/v1.2", ["https://d.example/v1.2/b"], ["https://d.example/v1.3/b"]),
    ],
)
def test_scope(start: str, inside: list[str], outside: list[str]) -> None:
    scope = Scope.around(start)
    assert all(scope.admit(url) for url in inside)
    assert not any(scope.admit(url) for url in outside)


def test_scope_rewrites_the_scheme_and_leaves_out_what_is_no_page() -> None:
    scope = Scope.around("https://d.example/")
    assert scope.admit("http://d.example/a") == "https://d.example/a"
    for path in ("a.png", "a.css", "a.js", "a.zip", "feed.xml", "a/" * 40, "x/y/" * 6):
        assert not scope.admit(f"https://d.example/{path}")
    assert scope.admit("https://d.example/a.pdf")


def test_include_and_exclude() -> None:
    scope = Scope.around("https://d.example/", ("/docs/", "/*/guide/*"), ("/docs/old", "*.txt"))
    admitted = [
        path
        for path in ("docs/a", "x/guide/b", "docs/old/a", "docs/a.txt", "c")
        if scope.admit(f"https://d.example/{path}")
    ]
    assert admitted == ["docs/a", "x/guide/b"]


def test_patterns_with_a_host_are_compared_with_the_whole_address() -> None:
    scope = Scope.around("https://d.example/", exclude=("https://d.example/old/", "https://*/draft-*"))
    assert scope.admit("https://d.example/new/old/")
    assert not scope.admit("https://d.example/old/page")
    assert not scope.admit("http://d.example/new/draft-1")


def test_twins() -> None:
    forms = ("/a", "/a/", "/a.html", "/a.md", "/a.html.md", "/a/index.md", "/a/index.html.md", "/a/index.html")
    assert {twin_key(f"https://d.example{form}") for form in forms} == {"https://d.example/a"}
    assert index_form("https://d.example/a/index.html?x=1") == "https://d.example/a/?x=1"
    assert index_form("https://d.example/a.html") == "https://d.example/a.html"


def test_robots() -> None:
    robots = Robots(
        "User-agent: *\nDisallow: /private/\nAllow: /private/open\nCrawl-delay: 2\n\n"
        "User-agent: other\nDisallow: /\n\nSitemap: https://d.example/map.xml\n"
    )
    assert [robots.allows(f"https://d.example{path}") for path in ("/a", "/private/x", "/private/open")] == [
        True,
        False,
        True,
    ]
    assert (robots.delay, robots.sitemaps) == (2.0, ["https://d.example/map.xml"])
    assert Robots("").allows("https://d.example/x")
    assert not Robots("User-agent: docduet\nDisallow: /").allows("https://d.example/x")
    assert Robots("<html>404</html>").allows("https://d.example/x")


SITEMAP = """<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
<url><loc> https://d.example/old </loc><lastmod>2020-01-01</lastmod></url>
<url><loc>https://d.example/new</loc><lastmod>2026-01-01</lastmod></url><url><loc>https://d.example/any</loc></url></urlset>"""


def test_sitemaps() -> None:
    newest_first = ("https://d.example/new", "https://d.example/old", "https://d.example/any")
    for body in (SITEMAP.encode(), gzip.compress(SITEMAP.encode()), SITEMAP.replace(' xmlns="', ' xmlns:x="').encode()):
        assert parse_sitemap(body, "https://d.example/sitemap.xml", 10**6).pages == newest_first
    index = SITEMAP.replace("urlset", "sitemapindex").replace("url>", "sitemap>")
    assert parse_sitemap(index.encode(), "https://d.example/", 10**6).sitemaps[0] == "https://d.example/old"
    text = b"https://d.example/a\nnothing\nhttps://d.example/b\n"
    assert parse_sitemap(text, "https://d.example/", 10**6).pages == ("https://d.example/a", "https://d.example/b")


BILLION_LAUGHS = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'


@pytest.mark.parametrize(
    "body", [b"", b"<urlset><url>", b"\x1f\x8bnope", BILLION_LAUGHS.encode(), b"<a/>", b"\x00\xff"]
)
def test_broken_and_hostile_sitemaps_list_nothing(body: bytes) -> None:
    assert parse_sitemap(body, "https://d.example/", 10**6).pages == ()


def test_a_sitemap_bomb_stays_packed() -> None:
    assert parse_sitemap(gzip.compress(b"<" * 10**7), "https://d.example/", 10**6).pages == ()


def test_llms_txt() -> None:
    text = "# Docs\n\n> About.\n\n- [Start](https://d.example/start.md): first\n- [Next](next.md)\n![no](x.png)\n"
    assert llms_links(text, "https://d.example/llms.txt") == ["https://d.example/start.md", "https://d.example/next.md"]


def test_llms_full_txt_is_taken_apart() -> None:
    text = (
        "# One\nSource: https://d.example/one\n\nText.\n\n```sh\n# no heading\n```\n# Two\n\nMore.\n\n# Two\n\nAgain.\n"
    )
    pages = list(llms_pages(text, "https://d.example/llms-full.txt"))
    addresses = [address.removeprefix("https://d.example/") for address, _ in pages]
    assert addresses == ["one", "llms-full.txt#two", "llms-full.txt#two-2"]
    assert "# no heading" in pages[0][1]
    assert "Source:" not in pages[0][1]


def test_what_a_page_says_about_itself() -> None:
    html = page(
        "T",
        "b.html",
        "b.html#x",
        "http://other.example/",
        head='<link rel="canonical" href="/canon"><base href="/base/">',
    )
    html += '<img src="i.png"><script src="s.js"></script><a rel="nofollow" href="n.html">n</a><frame src="f.html">'
    document = read_document(html.encode(), BASE, "text/html")
    assert document.canonical == "https://docs.example.com/canon"
    assert document.links == ("https://docs.example.com/base/b.html", "http://other.example/")
    assert document.converted is not None
    assert document.converted.title == "T"


@pytest.mark.parametrize(
    ("content", "noindex", "links"),
    [("noindex", True, 1), ("none", True, 1), ("NoFollow", False, 0), ("all", False, 1)],
)
def test_meta_robots(content: str, noindex: bool, links: int) -> None:
    html = page("T", "b.html", head=f'<meta name="Robots" content="{content}">')
    document = read_document(html.encode(), BASE, "text/html")
    assert (document.noindex, len(document.links), document.converted is None) == (noindex, links, noindex)


@pytest.mark.parametrize(
    "html",
    ["<html><body><p>Unclosed <b>text <a href='b.html'>b", "<<<>>>", "<html>" + "<div>" * 3000 + "deep", "\x00" * 50],
)
def test_broken_html_gives_a_page_or_a_reason(html: str) -> None:
    document = read_document(html.encode(), BASE, "text/html")
    assert (document.converted is None) == bool(document.reason)


def test_the_headers_charset_counts_where_the_bytes_are_not_utf8() -> None:
    html = page("Grüße", text="Schöne Grüße").encode("cp1252")
    document = read_document(html, BASE, "text/html", "windows-1252")
    assert document.converted is not None
    assert document.converted.title == "Grüße"


def test_kinds_that_are_read() -> None:
    assert not any(
        map(wanted, ("text/html", "application/xhtml+xml", "text/plain", "application/pdf", "text/markdown", ""))
    )
    assert all(
        map(wanted, ("image/png", "text/css", "application/javascript", "video/mp4", "application/zip", "font/woff2"))
    )
