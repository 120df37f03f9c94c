"""Pages and sites that go: what leaves the store, what is kept, and when a sync stops and asks."""

from __future__ import annotations

import pytest
from aiohttp import web

from data.errors import SourceError, SuddenLossError, UnreachableSource
from data.store import PageStore
from data.sync import sync_source
from tests.site_server import SiteServer, config_for, fill, page, paths, redirect, run


def test_pages_that_are_gone_go_after_the_grace(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    site["/11.html"] = site["/10.html"] = 404
    del site.answers["/9.html"]
    first = run(site, store)
    assert (first.removed, paths(site, first.kept), store.count()) == ([], ["/10.html", "/9.html"], 12)
    site["/9.html"] = page("Page 9 is back")
    second = run(site, store)
    assert (paths(site, second.removed), second.kept) == (["/10.html"], [])
    site["/9.html"] = 410
    assert paths(site, run(site, store).kept) == ["/9.html"]  # it starts from zero again


def test_a_page_that_nothing_links_to_any_more_goes_too(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    site["/0.html"] = page("Page 0", *(f"/{n}.html" for n in range(1, 5)))
    assert paths(site, run(site, store, grace_syncs=1).removed) == ["/5.html"]


def test_a_page_that_moved_is_not_there_twice(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    for number in range(8):
        site[f"/new/{number}"] = site.answers[f"/{number}.html"]
        site[f"/{number}.html"] = redirect(f"/new/{number}")
    report = run(site, store)
    assert len(report.removed) == len(report.added) == 8
    assert store.count() == 12


def test_a_site_that_sends_every_old_address_to_its_start_page_stops_and_asks(
    site: SiteServer, store: PageStore
) -> None:
    fill(site, 30)
    run(site, store)
    site.answers.update({f"/{number}.html": redirect("/", 302) for number in range(29)})
    site["/"] = page("A new start", *(f"/{number}.html" for number in range(29)))
    with pytest.raises(SuddenLossError, match="29 of 30 pages are gone"):
        run(site, store)
    assert store.count() == 30
    assert len(run(site, store, prune=True).removed) == 29


def test_a_few_pages_that_became_one(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    site["/10.html"] = site["/9.html"] = redirect("/8.html")
    assert paths(site, run(site, store).removed) == ["/10.html", "/9.html"]


def test_an_outage_keeps_everything(site: SiteServer, store: PageStore) -> None:
    fill(site, 30)
    run(site, store)
    site.down = 500
    with pytest.raises(UnreachableSource, match="nothing was removed"):
        run(site, store)
    site.down = 0
    site["/0.html"] = 503
    report = run(site, store, grace_syncs=1)
    assert (report.removed, len(report.unchanged), report.failed) == ([], 29, [(f"{site.url}/0.html", "answered 503")])
    site["/0.html"] = 403
    assert (run(site, store, grace_syncs=1).removed, store.count()) == ([], 30)


def test_a_site_that_is_switched_off_keeps_everything(store: PageStore) -> None:
    with SiteServer() as site:
        fill(site)
        run(site, store)
    with pytest.raises(UnreachableSource, match="could not be fetched"):
        run(site, store)
    assert store.count() == 12


def test_a_name_that_cannot_be_resolved_keeps_everything(
    site: SiteServer, store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    fill(site)
    source, config = f"http://docs.example.com:{site.port}/", config_for(site)
    config = config.model_copy(update={"allow_hosts": (f"docs.example.com:{site.port}",)})
    real = socket.getaddrinfo

    def here(host: str, *args: object, **kwargs: object) -> object:
        return real("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

    def fail(*args: object, **kwargs: object) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", here)
    sync_source(source, store, config)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreachableSource, match=r"could not be fetched .*name resolution.*nothing was removed"):
        sync_source(source, store, config)
    assert store.count() == 12


def test_a_site_that_goes_down_mid_crawl_is_not_waited_for(site: SiteServer, store: PageStore) -> None:
    async def last(request: web.Request) -> web.Response:
        site.down = 500
        return web.Response(status=500)

    fill(site, 80)
    site["/8.html"] = last
    with pytest.raises(UnreachableSource, match=r"has stopped answering.*sync again"):
        run(site, store)
    assert (
        sum(count for path, count in site.requests.items() if path.endswith(".html")) < 40
    )  # of 80: 9 that answered, 10 in a row that did not, and those under way meanwhile
    site.down = 0
    fill(site, 80)
    site.forget_counts()
    assert len(run(site, store).added) == 80
    assert site.bodies["/0.html"] == 0  # it went on, not from the start


def test_many_broken_pages_are_no_outage(site: SiteServer, store: PageStore) -> None:
    fill(site, 60)
    for number in range(6, 40):
        site[f"/{number}.html"] = 500
    report = run(site, store)
    assert (len(report.failed), len(report.added)) == (25, 7)


def test_a_kill_between_page_and_state_loses_no_change(
    site: SiteServer, store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ETag of a text must not be known before its page is stored: the next sync would be told "not modified"."""
    fill(site)
    run(site, store)
    site["/3.html"] = page("Page 3, improved")

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    for spoil in ("data.ledger.PageStore.put", "data.web.state.CrawlState.done"):
        monkeypatch.setattr(spoil, killed)
        with pytest.raises(KeyboardInterrupt):
            run(site, store)
        monkeypatch.undo()
    run(site, store)
    found = store.find(f"{site.url}/3.html")
    assert found is not None
    assert found.title == "Page 3, improved"


def test_a_page_that_hangs_does_not_hold_up_the_others(site: SiteServer, store: PageStore) -> None:
    import asyncio

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    fill(site)
    site["/2.html"] = hang
    report = run(site, store, request_timeout_s=0.5)
    assert (len(report.added), report.failed) == (11, [(f"{site.url}/2.html", "no complete answer within 0.5 s")])


def test_a_storm_of_404_stops_and_asks(site: SiteServer, store: PageStore) -> None:
    fill(site, 30)
    run(site, store)
    for number in range(10, 29):
        site[f"/{number}.html"] = 404
    for _ in range(3):
        with pytest.raises(SuddenLossError, match=r"19 of 30 pages are gone .* nothing was removed; .*--prune"):
            run(site, store)
        assert store.count() == 30
    assert len(run(site, store, prune=True).removed) == 19
    assert run(site, store).touched is False


def test_a_start_page_that_is_gone_removes_nothing(site: SiteServer, store: PageStore) -> None:
    fill(site)
    run(site, store)
    site.answers.clear()
    for prune in (False, True):
        with pytest.raises(SourceError, match="nothing was removed"):
            run(site, store, prune=prune)
    assert store.count() == 12
