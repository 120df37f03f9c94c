"""A real web server for crawls: aiohttp on loopback, in a thread of its own, counting what is asked of it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from data.config import DataConfig
from data.store import PageStore
from data.sync import SyncReport, sync_source

Answer = str | bytes | int | Callable[[web.Request], Awaitable[web.StreamResponse]]


class SiteServer:
    """``site["/path"] = "<html>..."`` (or a status, or a handler); whatever is not set answers 404.

    ``requests`` counts every request by path with query, ``bodies`` those that were answered with a text. ``down`` set
    to a status answers everything with it; ``slow`` has seconds to wait by path, ``delay`` those for all others.
    ``port`` is free to be taken again by another SiteServer.
    """

    def __init__(self, port: int = 0) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.down = 0
        self.delay = 0.0
        self.slow: dict[str, float] = {}
        self.etags = True
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> SiteServer:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def __setitem__(self, path: str, answer: Answer) -> None:
        self.answers[path] = answer

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def forget_counts(self) -> None:
        self.requests.clear()
        self.bodies.clear()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        self.requests[path] += 1
        self.headers[path] = dict(request.headers)
        if delay := self.slow.get(path, self.delay):
            await asyncio.sleep(delay)
        if self.down:
            return web.Response(status=self.down)
        answer = self.answers.get(path, self.answers.get(request.path, 404))
        if callable(answer):
            return await answer(request)
        if isinstance(answer, int):
            return web.Response(status=answer)
        return self._text(request, answer if isinstance(answer, bytes) else answer.encode())

    def _text(self, request: web.Request, body: bytes) -> web.Response:
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"ETag": etag} if self.etags else {}
        if self.etags and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        self.bodies[request.raw_path] += 1
        kinds = {"xml": "application/xml", "md": "text/markdown", "txt": "text/plain", "png": "image/png"}
        kind = kinds.get(request.path.rpartition(".")[2], "text/html")
        return web.Response(body=body, content_type=kind, headers=headers)


def redirect(target: str, status: int = 301) -> Callable[[web.Request], Awaitable[web.Response]]:
    """An answer that leads elsewhere."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": target})

    return answer


def page(title: str, *links: str, head: str = "", text: str = "") -> str:
    """A page of documentation with links in it."""
    items = "".join(f'<li><a href="{link}">to {link}</a></li>' for link in links)
    text = text or f"{title} is described here in a sentence of its own."
    return (
        f"<!DOCTYPE html><html><head><title>{title}</title>{head}</head>"
        f"<body><h1>{title}</h1><p>{text}</p><ul>{items}</ul></body></html>"
    )


def tree(pages: int, fan: int = 5) -> dict[str, Any]:
    """``pages`` pages as a tree: /0.html links to the next ``fan``, and so on; / is the first."""
    site: dict[str, Any] = {"/": page("Start", "/0.html")}
    for number in range(pages - 1):
        below = [f"/{child}.html" for child in range(number * fan + 1, number * fan + fan + 1) if child < pages - 1]
        site[f"/{number}.html"] = page(f"Page {number}", *below, "/")
    return site


def fill(site: SiteServer, count: int = 12) -> None:
    site.answers.update(tree(count))


def config_for(site: SiteServer, **options: object) -> DataConfig:
    quick = {"retries": 0, "requests_per_second": 10_000, "request_timeout_s": 5, "allow_hosts": (site.host,)}
    return DataConfig.model_validate({**quick, **options})


def run(site: SiteServer, store: PageStore, path: str = "/", prune: bool = False, **options: object) -> SyncReport:
    return sync_source(site.url + path, store, config_for(site, **options), prune=prune)


def paths(site: SiteServer, urls: list[str]) -> list[str]:
    return sorted(url.removeprefix(site.url) for url in urls)


def stored(site: SiteServer, store: PageStore) -> list[str]:
    return paths(site, [found.url for found in store.pages()])
