"""A site -> store, against a real server: what changed and nothing else, each page once, nothing lost in an outage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web
from filelock import FileLock
from typer.testing import CliRunner

from data.errors import BusyError, EmptySourceError, SourceError
from data.store import PageStore
from data.sync import forget_source
from docduet import app
from tests.site_server import SiteServer, fill, page, paths, redirect, run, stored


def test_first_second_and_third_sync(site: SiteServer, store: PageStore) -> None:
    fill(site)
    first = run(site, store)
    assert (len(first.added), first.skipped, first.failed) == (12, [], [])
    found = store.find(f"{site.url}/3.html")
    assert found is not None
    assert (found.title, found.source) == ("Page 3", f"{site.url}/")
    assert f"[to /0.html]({site.url}/0.html)" in (store.find(f"{site.url}/") or found).body
    site.forget_counts()
    second = run(site, store)
    assert (len(second.unchanged), second.not_modified, second.touched) == (12, 12, False)
    assert site.bodies.total() == 0
    site["/3.html"] = page("Page 3, improved")
    site["/0.html"] = page("Page 0", *(f"/{n}.html" for n in range(1, 6)), "/new.html")
    site["/new.html"] = page("New")
    site.forget_counts()
    third = run(site, store)
    assert (paths(site, third.added), paths(site, third.changed)) == (["/new.html"], ["/0.html", "/3.html"])
    assert set(site.bodies) == {"/0.html", "/3.html", "/new.html"}


def test_without_etags_the_text_decides(site: SiteServer, store: PageStore) -> None:
    fill(site)
    site.etags = False
    run(site, store)
    before = list(store.pages())
    again = run(site, store)
    assert (len(again.unchanged), again.not_modified, list(store.pages()) == before) == (12, 0, True)


def test_a_new_etag_alone_is_no_change(site: SiteServer, store: PageStore) -> None:
    site["/"] = page("Start")
    run(site, store)
    site["/"] = page("Start", head='<meta name="built" content="2026-11-25">')
    assert (site.bodies["/"], run(site, store).touched, site.bodies["/"]) == (1, False, 2)


def test_each_page_once(site: SiteServer, store: PageStore) -> None:
    """Fragments, tracking parameters, index files, redirects and canonical links all lead to one page."""
    links = ("a", "a#x", "a?utm_source=mail", "index.html", "/old", "/print", "/b?sort=1", "/b?sort=2")
    site["/"] = site["/index.html"] = page("Start", *links)
    site["/a"] = page("A")
    site["/old"] = redirect("/a", 302)
    site["/print"] = page("A, for printing", head='<link rel="canonical" href="/a">')
    site["/b"] = page("B", head='<link rel="canonical" href="/b">')
    report = run(site, store)
    assert stored(site, store) == ["/", "/a", "/b"]
    assert report.skipped == []
    assert (site.requests["/a"], site.requests["/index.html"]) == (1, 0)
    site.forget_counts()
    again = run(site, store)
    assert (len(again.unchanged), again.touched, site.bodies.total()) == (3, False, 0)


def test_a_canonical_link_that_leads_nowhere_is_not_believed(site: SiteServer, store: PageStore) -> None:
    """Missing, in a circle, of another site, out of the crawl."""
    canonical = {"/d/a": "/d/missing", "/d/b": "/d/c", "/d/c": "/d/b", "/d/e": "https://other.example/e", "/d/f": "/g"}
    site["/d/"] = page("Start", *canonical)
    site["/g"] = page("G")
    for path, target in canonical.items():
        site[path] = page(f"Page {path}", head=f'<link rel="canonical" href="{target}">')
    run(site, store, "/d/")
    found = stored(site, store)
    assert {"/d/", "/d/a", "/d/e", "/d/f"} <= set(found)
    assert len({"/d/b", "/d/c"} & set(found)) == 1
    again = run(site, store, "/d/")
    assert (again.touched, stored(site, store)) == (False, found)


def test_a_page_whose_canonical_page_goes_stands_for_itself_again(site: SiteServer, store: PageStore) -> None:
    site["/"] = page("Start", "/print")
    site["/print"] = page("A, for printing", head='<link rel="canonical" href="/a">')
    site["/a"] = page("A")
    run(site, store)
    site["/a"] = 404
    assert paths(site, run(site, store).added) == ["/print"]


def test_redirects_in_circles_and_without_end(site: SiteServer, store: PageStore) -> None:
    site["/"] = page("Start", "/a", "/self", "/far0")
    site["/a"], site["/b"], site["/self"] = redirect("/b"), redirect("/a"), redirect("/self")
    for hop in range(20):
        site[f"/far{hop}"] = redirect(f"/far{hop + 1}")
    report = run(site, store)
    assert stored(site, store) == ["/"]
    reasons = {path.removeprefix(site.url): reason for path, reason in report.skipped}
    assert reasons == {"/self": "redirects to itself", "/far10": "redirects more than 10 times"}


def test_a_start_page_that_redirects_elsewhere_says_where(site: SiteServer, store: PageStore) -> None:
    site["/"] = redirect("https://www.example.com/docs/")
    with pytest.raises(SourceError, match=r"redirects to https://www.example.com/docs/.*sync that address"):
        run(site, store)


def test_only_below_the_start_pages_folder(site: SiteServer, store: PageStore) -> None:
    site["/docs/"] = page("Docs", "a", "/blog/", "../pricing", "https://other.example/")
    site["/docs/a"], site["/blog/"], site["/pricing"] = page("A"), page("Blog"), page("Pricing")
    run(site, store, "/docs/")
    assert stored(site, store) == ["/docs/", "/docs/a"]
    assert not site.requests["/blog/"]


def test_a_start_page_without_its_slash_says_what_to_sync(site: SiteServer, store: PageStore) -> None:
    site["/guide/intro"] = page("Intro", "/guide/setup", "/guide/use")
    report = run(site, store, "/guide/intro")
    assert len(report.added) == 1
    assert f"are read with {site.url}/guide/ as the source" in dict(report.skipped)[f"{site.url}/guide/intro"]
    site["/alone/page"] = page("Alone", "https://elsewhere.example/")
    assert run(site, store, "/alone/page").skipped == []


def test_include_exclude_depth_and_max_pages(site: SiteServer, store: PageStore, tmp_path: Path) -> None:
    fill(site, 40)
    assert paths(site, run(site, store, include=("/1*.html", "/0.html")).added) == ["/0.html", "/1.html", "/10.html"]
    fresh = [PageStore(tmp_path / name / "pages.sqlite") for name in "abc"]
    assert len(run(site, fresh[0], exclude=("/3",)).added) == 25
    assert len(run(site, fresh[1], depth=1).added) == 2
    report = run(site, fresh[2], max_pages=7)
    assert (len(report.added), report.skipped[0][1]) == (
        7,
        "stopped after 7 addresses, the site has more (data.max_pages)",
    )


def test_a_crawl_that_hit_its_limit_removes_nothing(site: SiteServer, store: PageStore) -> None:
    fill(site, 30)
    run(site, store)
    report = run(site, store, max_pages=5, grace_syncs=1)
    assert (report.removed, report.kept, store.count()) == ([], [], 30)


def test_an_endless_calendar(site: SiteServer, store: PageStore) -> None:
    async def month(request: web.Request) -> web.Response:
        number = int(request.query.get("month", 0))
        return web.Response(
            text=page(f"Month {number}", f"?month={number + 1}", f"?month={number - 1}"), content_type="text/html"
        )

    site["/"] = page("Start", "/calendar", "/a")
    site["/a"] = page("A")
    site["/calendar"] = month
    assert "/a" in paths(site, run(site, store, depth=5).added)
    assert store.count() == 12
    assert len(run(site, PageStore(store.path.with_name("other.sqlite")), max_pages=30).added) == 30


def test_relative_links_that_grow_end(site: SiteServer, store: PageStore) -> None:
    async def trap(request: web.Request) -> web.Response:
        return web.Response(text=page(request.path, "more/again/"), content_type="text/html")

    site["/"] = page("Start", "/t/")
    site.answers.update({"/t/" + "more/again/" * n: trap for n in range(50)})
    assert len(run(site, store, depth=1000).added) <= 7


def test_images_scripts_and_styles_are_never_fetched(site: SiteServer, store: PageStore) -> None:
    site["/"] = page(
        "Start",
        "photo.png",
        "download",
        head='<link rel="stylesheet" href="s.css"><script src="s.js"></script>',
        text='<img src="/i.png"><img src="http://169.254.169.254/x.png">',
    )
    site["/download"] = redirect("/file.zip")
    run(site, store)
    assert {path for path, count in site.requests.items() if count} == {
        "/",
        "/robots.txt",
        "/llms.txt",
        "/sitemap.xml",
        "/download",
    }


def test_a_picture_without_a_suffix_is_not_read(site: SiteServer, store: PageStore) -> None:
    async def picture(request: web.Request) -> web.Response:
        return web.Response(body=b"\x89PNG" + bytes(100), content_type="image/png")

    site["/"], site["/logo"] = page("Start", "/logo"), picture
    assert run(site, store).skipped == [(f"{site.url}/logo", "image/png is not a kind of document that is read")]


def test_pdf_and_text_are_documents_too(site: SiteServer, store: PageStore) -> None:
    from reportlab.pdfgen.canvas import Canvas

    path = store.path.parent / "a.pdf"
    path.parent.mkdir(parents=True)
    canvas = Canvas(str(path))
    canvas.drawString(100, 700, "The frobnicator has three speeds.")
    canvas.save()

    async def pdf(request: web.Request) -> web.Response:
        return web.Response(body=path.read_bytes(), content_type="application/pdf")

    site["/"], site["/a.pdf"], site["/n.txt"] = page("Start", "a.pdf", "n.txt"), pdf, "Plain notes."
    run(site, store)
    found = store.find(f"{site.url}/a.pdf")
    assert found is not None
    assert "three speeds" in found.body
    assert stored(site, store) == ["/", "/a.pdf", "/n.txt"]


def test_a_site_without_a_readable_page(site: SiteServer, store: PageStore) -> None:
    site["/"] = "<html><body></body></html>"
    with pytest.raises(EmptySourceError, match="no readable document"):
        run(site, store)


def test_broken_html_becomes_a_page(site: SiteServer, store: PageStore) -> None:
    site["/"] = "<html><h1>Broken</h1><p>text <a href='/a'>link<table><tr><td>cell"
    site["/a"] = page("A")
    assert len(run(site, store).added) == 2


def test_huge_pages_are_skipped_the_rest_goes_on(site: SiteServer, store: PageStore) -> None:
    fill(site)
    site["/1.html"] = page("Huge", text="word " * 300_000)
    report = run(site, store, max_file_mb=1.0)
    assert (len(report.added), report.skipped[0][1]) == (6, "larger than the limit of 1 MB (data.max_file_mb)")


def test_many_pages_are_converted_by_several_processes(site: SiteServer, store: PageStore) -> None:
    fill(site, 60)
    assert len(run(site, store, concurrency=8).added) == 60


def test_two_syncs_at_once(site: SiteServer, store: PageStore) -> None:
    fill(site)
    store.path.parent.mkdir(parents=True)
    with FileLock(store.path.with_name("pages.sqlite.sync.lock")), pytest.raises(BusyError, match="running already"):
        run(site, store)
    assert not site.requests


def test_new_labels_convert_every_page_anew(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    assert len(run(site, store, product="Widget").changed) == 12


def test_a_source_that_is_forgotten_starts_anew(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    assert forget_source(f"{site.url}#x", store) == 12
    assert forget_source(site.url, store) is None
    assert len(run(site, store).added) == 12


def test_a_site_within_a_site_that_is_there_already(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    site["/other/"] = page("Other", "/0.html")
    report = run(site, store, "/other/")
    assert report.added == [f"{site.url}/other/"]
    with pytest.raises(EmptySourceError, match="already holds this page"):
        run(site, store, "/0.html")
    assert store.count() == 13


def test_the_command(site: SiteServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCDUET__DATA__ALLOW_HOSTS", json.dumps([site.host]))
    monkeypatch.chdir(tmp_path)
    fill(site)
    site["/4.html"] = page("Four", "/broken")
    site["/broken"] = 500
    monkeypatch.setenv("DOCDUET__DATA__RETRIES", "0")
    options = ["--requests-per-second", "5000", "--exclude", "/5.html", "--exclude", "*/6.html", "--concurrency", "2"]
    result = CliRunner().invoke(app, ["data", "sync", site.url, *options])
    assert "10 added, 0 changed, 0 removed, 0 unchanged, 0 skipped, 1 failed (their pages are kept)" in result.stdout
    assert f"failed {site.url}/broken: answered 500" in result.stderr
    result = CliRunner().invoke(app, ["data", "sync", site.url, *options, "--json"])
    (report,) = json.loads(result.stdout)
    assert (report["unchanged"], report["not_modified"], report["kept"]) == (10, 10, [])
    assert report["failed"] == [{"path": f"{site.url}/broken", "reason": "answered 500"}]
    wrong = CliRunner().invoke(app, ["data", "sync", site.url, "--llms", "maybe"])
    assert "--llms" in str(wrong.exception)
    assert "10 pages removed" in CliRunner().invoke(app, ["data", "forget", site.url]).stdout
