"""A real documentation site, end to end: Debian's PostgreSQL manual through a web server, with the real command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.crawl import FolderServer, change_one_page, sync
from data.store import PageStore

PACKAGE = "postgresql-doc-15"
MANUAL = Path("/usr/share/doc") / PACKAGE / "html"


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    """A copy of the manual; the package is installed where that is possible."""
    if not MANUAL.is_dir():
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            pytest.skip(f"{PACKAGE} is not installed: run `apt-get install {PACKAGE}` as root")
        quiet = {"capture_output": True, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)  # type: ignore[call-overload]
        command = ["apt-get", "install", "-qq", "--no-install-recommends", PACKAGE]
        if subprocess.run(command, check=False, **quiet).returncode or not MANUAL.is_dir():  # type: ignore[call-overload]
            pytest.skip(f"{PACKAGE} could not be installed: run `apt-get install {PACKAGE}`")
    return shutil.copytree(MANUAL, tmp_path / "manual")


@pytest.mark.real
@pytest.mark.timeout(900)
def test_a_manual_of_over_a_thousand_pages(manual: Path, tmp_path: Path) -> None:
    rate = ("--requests-per-second", "100000")
    store = PageStore(tmp_path / "home" / "pages.sqlite")
    with FolderServer(manual) as server:
        first = sync(server, tmp_path / "home", *rate)
        assert len(first.report["added"]) == store.count() > 1000
        assert first.bodies <= store.count() + 3
        assert first.report["failed"] == []
        page = store.find(f"{server.url}sql-createindex.html")
        assert page is not None
        assert "CREATE INDEX" in page.title
        assert "CONCURRENTLY" in page.body
        second = sync(server, tmp_path / "home", *rate)
        assert (second.report["unchanged"], second.bodies) == (store.count(), 0)
        changed = change_one_page(manual)
        third = sync(server, tmp_path / "home", *rate)
        assert third.report["changed"] == [f"{server.url}{changed.name}"]
        assert (third.report["removed"], third.report["kept"], third.bodies) == ([], [], 1)
