"""Requests against a real server that misbehaves: every cap holds while the answer still streams."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
from aiohttp import web

from data.config import DataConfig
from data.web.fetch import FailedFetch, Fetcher, Reply, Unpacker, UnwantedReply, _retry_after
from tests.site_server import SiteServer, page, redirect


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with SiteServer() as server:
        yield server


def get(site: SiteServer, path: str = "/", **options: object) -> Reply:
    config = DataConfig.model_validate(
        {"retries": 0, "requests_per_second": 1000, "max_file_mb": 1.0, "allow_hosts": (site.host,), **options}
    )

    async def run() -> Reply:
        async with Fetcher(config) as fetcher:
            return await fetcher.follow(site.url + path)

    return asyncio.run(run())


def stream(pieces: Callable[[], Iterator[bytes]], sent: list[int], **headers: str) -> object:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html", **headers})
        await response.prepare(request)
        for piece in pieces():
            await response.write(piece)
            sent[0] += len(piece)
        return response

    return answer


def test_a_gigabyte_is_cut_off_while_it_streams(site: SiteServer) -> None:
    sent = [0]
    site["/"] = stream(lambda: (b"x" * 1_000_000 for _ in range(1000)), sent)  # type: ignore[assignment]
    with pytest.raises(UnwantedReply, match="larger than the limit of 1 MB") as raised:
        get(site)
    assert raised.value.keep
    assert sent[0] < 20_000_000  # what fits into socket buffers


def test_a_length_over_the_limit_is_not_even_read(site: SiteServer) -> None:
    sent = [0]
    site["/"] = stream(lambda: iter([b"x"] * 5_000_000), sent, **{"Content-Length": "5000000"})  # type: ignore[assignment]
    with pytest.raises(UnwantedReply, match="larger than the limit"):
        get(site)


def test_a_gzip_bomb_never_unfolds(site: SiteServer) -> None:
    """300 MB of zeros in 0.3 MB: memory stays near the limit of 1 MB."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(300)) + packer.flush()
    assert len(bomb) < 400_000

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})

    site["/"] = answer
    tracemalloc.start()
    with pytest.raises(UnwantedReply, match="1 MB once decompressed"):
        get(site)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity", "gzip-members"])
def test_compressed_text_arrives_whole(site: SiteServer, coding: str) -> None:
    text = page("Compressed", text="word " * 10_000).encode()
    packed = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "identity": text,
        "gzip-members": gzip.compress(text[:100]) + gzip.compress(text[100:]),
    }[coding]

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": coding[:8].removesuffix("-mem")})

    site["/"] = answer
    assert get(site).body == text


@pytest.mark.parametrize(
    ("body", "coding"), [(b"no gzip at all", "gzip"), (gzip.compress(b"x" * 999)[:-9], "gzip"), (b"?", "br")]
)
def test_damaged_or_unknown_compression(site: SiteServer, body: bytes, coding: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": coding})

    site["/"] = answer
    with pytest.raises(UnwantedReply, match="compress"):
        get(site)


def test_a_site_that_hangs(site: SiteServer) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    site["/silent"], site["/drip"] = silent, drip
    for path in ("/silent", "/drip"):
        with pytest.raises(FailedFetch, match=r"no complete answer within 0.3 s"):
            get(site, path, request_timeout_s=0.3)


def test_nobody_listens(site: SiteServer) -> None:
    with SiteServer() as gone:
        pass
    with pytest.raises(FailedFetch, match="could not be fetched"):
        get(gone)


def test_an_answer_that_breaks_off(site: SiteServer) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport
        request.transport.abort()
        return response

    site["/"] = broken
    with pytest.raises(FailedFetch):
        get(site)


def test_redirects_end(site: SiteServer) -> None:
    site["/a"], site["/b"] = redirect("/b", 302), redirect("/a", 307)
    with pytest.raises(FailedFetch, match="more than 10 redirects"):
        get(site, "/a")
    site["/b"] = page("There")
    assert get(site, "/a").url == f"{site.url}/b"


def test_a_failure_is_tried_again_and_retry_after_is_waited_for(
    site: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(
        [web.Response(status=503, headers={"Retry-After": "1"}), web.Response(status=502), web.Response(text="ok")]
    )

    async def answer(request: web.Request) -> web.Response:
        return next(answers)

    waited: list[float] = []
    held: list[float] = []
    real = asyncio.sleep
    monkeypatch.setattr("data.web.fetch.asyncio.sleep", lambda seconds: (waited.append(seconds), real(0))[1])
    monkeypatch.setattr("data.web.fetch.Pace.hold", lambda self, seconds: held.append(seconds))
    site["/"] = answer
    assert get(site, retries=2).body == b"ok"
    assert held == [pytest.approx(1.0)]  # the site as a whole is spared, for as long as it asked
    assert [round(seconds, 1) for seconds in waited if seconds >= 0.1] == [1.0, pytest.approx(1.0, abs=0.3)]


def test_a_site_that_asks_for_an_hour_is_left_alone(site: SiteServer) -> None:
    async def later(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    site["/"] = later
    with pytest.raises(FailedFetch, match="asks to wait for 3600 s"):
        get(site, retries=3)
    assert site.requests["/"] == 1


def test_the_rate_limit_spaces_requests_out(site: SiteServer) -> None:
    starts: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        starts.append(asyncio.get_running_loop().time())
        return web.Response(text="ok")

    site["/"] = answer

    async def run() -> None:
        config = DataConfig(requests_per_second=20, concurrency=8, allow_hosts=(site.host,))
        async with Fetcher(config) as fetcher:
            await asyncio.gather(*(fetcher.get(f"{site.url}/") for _ in range(6)))

    asyncio.run(run())
    assert max(starts) - min(starts) >= 5 / 20 * 0.9


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)]
)
def test_retry_after(value: str, seconds: float) -> None:
    assert _retry_after(value) == seconds


def test_the_unpacker_counts_what_comes_out() -> None:
    unpacker = Unpacker("gzip", 100)
    unpacker.feed(gzip.compress(b"x" * 100))
    assert unpacker.done() == b"x" * 100
    with pytest.raises(UnwantedReply):
        Unpacker("gzip", 99).feed(gzip.compress(b"x" * 100))
