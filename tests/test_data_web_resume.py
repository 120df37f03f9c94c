"""A crawl that is killed goes on where it was: no page lost, none fetched twice for nothing, the same end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.config import DataConfig
from data.store import PageStore
from data.sync import sync_source
from tests.site_server import SiteServer, page, redirect, tree

REPO = Path(__file__).parents[1]
CONCURRENCY = 4
CHILD = """
import sys
from pathlib import Path
from data.config import DataConfig
from data.store import PageStore
from data.sync import sync_source
if __name__ == "__main__":
    config = DataConfig(requests_per_second=10_000, concurrency=4, retries=0, allow_hosts=(sys.argv[3],))
    sync_source(sys.argv[1], PageStore(Path(sys.argv[2])), config)
"""


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with SiteServer() as server:
        server.answers.update(tree(160, fan=4))
        for number in range(0, 100, 10):  # not only plain pages
            server[f"/old/{number}"] = redirect(f"/{number}.html")
            server[f"/print/{number}"] = page("Print", head=f'<link rel="canonical" href="/{number}.html">')
        server["/0.html"] = page(
            "All",
            *(f"/{kind}/{n}" for n in range(0, 100, 10) for kind in ("old", "print")),
            "/1.html",
            "/2.html",
            "/3.html",
            "/4.html",
        )
        server.delay = 0.003
        yield server


def contents(store: PageStore) -> dict[str, str]:
    return {found.url: found.content_hash for found in store.pages()}


def crawl_with_kills(site: SiteServer, store: PageStore, kills: int, chance: random.Random) -> int:
    """Start the crawl and SIGKILL it after a random number of requests, again and again; then let it end."""
    done = 0
    while done < kills:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, f"{site.url}/", str(store.path), site.host], cwd=REPO, start_new_session=True
        )
        until = site.requests.total() + chance.randint(1, max(2, 250 // kills))
        while child.poll() is None and site.requests.total() < until:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.01))
        child.send_signal(signal.SIGKILL)
        if child.wait() == 0:
            break
        done += 1
        hashes = contents(store)  # whole pages only, and readable at any time
        assert all(hashes.values())
    sync_source(f"{site.url}/", store, DataConfig(requests_per_second=10_000, retries=0, allow_hosts=(site.host,)))
    return done


def check_kills(site: SiteServer, tmp_path: Path, kills: int, seed: int) -> None:
    plain, killed = PageStore(tmp_path / "a" / "pages.sqlite"), PageStore(tmp_path / "b" / "pages.sqlite")
    sync_source(f"{site.url}/", plain, DataConfig(requests_per_second=10_000, retries=0, allow_hosts=(site.host,)))
    undisturbed = +site.requests
    site.forget_counts()
    happened = crawl_with_kills(site, killed, kills, random.Random(seed))
    assert happened >= kills // 2
    assert contents(killed) == contents(plain)
    assert len(contents(plain)) == 160
    twice = {path: count - undisturbed[path] for path, count in site.requests.items() if count > undisturbed[path]}
    again = sum(count for path, count in twice.items() if path not in ("/robots.txt", "/llms.txt", "/sitemap.xml"))
    assert again <= happened * (CONCURRENCY + 1)


def test_ctrl_c_says_what_is_kept(site: SiteServer, tmp_path: Path) -> None:
    site.delay = 0.05
    command = [sys.executable, "-m", "docduet", "data", "sync", site.url, "--allow", site.host]
    child = subprocess.Popen(
        command,
        cwd=REPO,
        env=os.environ | {"DOCDUET_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs the tests may have it ignored
    )
    while child.poll() is None and site.requests.total() < 8:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate()
    assert child.returncode == 130
    assert said == f"Stopped. What was read of {site.url} is kept; sync it again to go on from there.\n"
    assert 0 < PageStore(tmp_path / "pages.sqlite").count() < 160


def test_killed_a_few_times(site: SiteServer, tmp_path: Path) -> None:
    check_kills(site, tmp_path, kills=3, seed=3)


@pytest.mark.real
@pytest.mark.timeout(900)
def test_killed_fifty_times(site: SiteServer, tmp_path: Path) -> None:
    check_kills(site, tmp_path, kills=50, seed=11)


def test_killed_in_a_second_sync_no_page_is_lost(site: SiteServer, tmp_path: Path) -> None:
    store = PageStore(tmp_path / "pages.sqlite")
    config = DataConfig(requests_per_second=10_000, retries=0, allow_hosts=(site.host,))
    sync_source(f"{site.url}/", store, config)
    before = contents(store)
    site["/7.html"] = str(site.answers["/7.html"]).replace("is described here", "is changed here")
    child = subprocess.Popen([sys.executable, "-c", CHILD, f"{site.url}/", str(store.path), site.host], cwd=REPO)
    until = site.requests.total() + 80
    while child.poll() is None and site.requests.total() < until:
        time.sleep(0.001)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert contents(store).keys() == before.keys()
    report = sync_source(f"{site.url}/", store, config)
    assert (report.removed, report.kept) == ([], [])
    assert len(report.unchanged) + len(report.changed) == len(before)
