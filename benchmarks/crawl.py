"""A documentation site, crawled with the real command through a local web server: how long, how many requests.

    python benchmarks/crawl.py /usr/share/doc/postgresql-doc-15/html [--requests-per-second 100000]

Serves a copy of the folder on loopback and runs `docduet data sync` on it in a home of its own (a temporary folder):
first sync, second sync with nothing changed, third with one page changed. Beside it, where it is installed, wget with
--mirror, which fetches the same pages and converts nothing. The rate limit is off unless it is given; on a real site
the default of 5 requests a second decides the time. Figures go to benchmarks/LOG.md by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web


class FolderServer:
    """Serves a folder on a free port of 127.0.0.1, in a thread; counts requests and those answered with a text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests = 0
        self.bodies = 0
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FolderServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _start(self) -> None:
        app = web.Application()
        app.on_response_prepare.append(self._count)
        app.router.add_get("/{path:.*}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def _count(self, request: web.Request, response: web.StreamResponse) -> None:
        """Called when the status is settled: a file answers 200 or 304."""
        self.requests += 1
        self.bodies += response.status == 200

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self.folder / request.match_info["path"]
        path = path / "index.html" if path.is_dir() else path
        if not path.resolve().is_relative_to(self.folder.resolve()) or not path.is_file():
            return web.Response(status=404)
        return web.FileResponse(path)


@dataclass(frozen=True)
class Measured:
    """One run of the command."""

    report: dict[str, Any]
    seconds: float
    requests: int
    bodies: int


def sync(server: FolderServer, home: Path, *options: str) -> Measured:
    """`docduet data sync` as a process of its own, with what the server saw of it."""
    environment = {
        **os.environ,
        "DOCDUET_HOME": str(home),
        "DOCDUET__DATA__ALLOW_HOSTS": json.dumps([f"127.0.0.1:{server.port}"]),
    }
    server.requests = server.bodies = 0
    command = [sys.executable, "-m", "docduet", "data", "sync", server.url, "--json", *options]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    return Measured(json.loads(done.stdout)[0], seconds, server.requests, server.bodies)


def change_one_page(folder: Path) -> Path:
    """Add a paragraph to the largest page that is not an index."""
    pages = [path for path in folder.rglob("*.html") if "index" not in path.name]
    page = max(pages, key=lambda path: path.stat().st_size)
    text = page.read_bytes()
    page.write_bytes(text.replace(b"</p>", b" One more sentence about the frobnicator.</p>", 1))
    return page


def wget(server: FolderServer, folder: Path) -> float:
    """Seconds that wget needs to mirror the site; 0 where there is no wget."""
    if shutil.which("wget") is None:
        return 0.0
    start = time.perf_counter()
    subprocess.run(["wget", "-q", "--mirror", "-P", str(folder), server.url], check=False)
    return time.perf_counter() - start


def show(what: str, measured: Measured) -> None:
    report = measured.report
    pages = len(report["added"]) + len(report["changed"]) + report["unchanged"]
    print(
        f"{what:<32}{pages:>6} pages {measured.seconds:>7.1f} s {pages / measured.seconds:>7.1f} pages/s "
        f"{measured.requests:>6} requests {measured.bodies:>6} bodies; "
        f"{len(report['added'])} added, {len(report['changed'])} changed, {len(report['skipped'])} skipped",
        flush=True,
    )


def main() -> None:
    """Run every step and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--requests-per-second", default="100000")
    options = parser.parse_args()
    rate = ("--requests-per-second", options.requests_per_second)
    with tempfile.TemporaryDirectory(prefix="docduet-bench-") as temp:
        docs, home = Path(temp, "docs"), Path(temp, "home")
        shutil.copytree(options.folder, docs)
        with FolderServer(docs) as server:
            show("first sync", sync(server, home, *rate))
            show("second sync, nothing changed", sync(server, home, *rate))
            change_one_page(docs)
            show("third sync, one page changed", sync(server, home, *rate))
            print(f"{'wget --mirror (fetches only)':<32}{wget(server, Path(temp, 'wget')):>20.1f} s")


if __name__ == "__main__":
    main()
