"""One polite, guarded HTTP client for a crawl: rate limit, retries, and caps on time, size and decompressed size.

    async with Fetcher(config) as fetcher:
        reply = await fetcher.get("https://docs.example.com/guide")      # one hop; a redirect is an answer
        reply = await fetcher.follow("https://docs.example.com/robots.txt")

Every hop passes data/web/guard.py. What an answer means is left to the crawl.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from data.config import DataConfig
from data.errors import RefusedAddress, network_reason
from data.source import megabytes
from data.web.guard import check, connector

if TYPE_CHECKING:
    from aiohttp import ClientResponse

ROBOT = "docduet"
"""The name that robots.txt knows this crawler by."""
_HEADERS = {
    "User-Agent": f"Mozilla/5.0 (compatible; {ROBOT}; reads documentation)",
    "Accept": "text/html, text/markdown, text/plain;q=0.9, application/pdf;q=0.8, */*;q=0.5",
    "Accept-Encoding": "gzip, deflate",
}
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_BUSY = frozenset({429, 503})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
_MAX_WAIT_S = 60.0
_FIRST_BACKOFF_S = 0.5
_PIECE = 64 * 1024


class FailedFetch(Exception):
    """No answer this time, whatever the reason; a later sync may get one. The message is the reason."""


class UnwantedReply(Exception):
    """An answer that is not read: too large, of the wrong kind, damaged. ``keep``: an older page of it may stay."""

    def __init__(self, reason: str, keep: bool) -> None:
        super().__init__(reason)
        self.keep = keep


@dataclass(frozen=True)
class Reply:
    """An answer. ``headers`` has lower-case names; ``location`` is where a redirect leads, else empty."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    location: str = ""

    @property
    def content_type(self) -> str:
        """``text/html``; empty when the server does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Fetcher:
    """Use it as an async context manager."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.max_bytes = int(config.max_file_mb * 1e6)
        self.pace = Pace(1 / config.requests_per_second)

    async def __aenter__(self) -> Fetcher:
        from aiohttp import ClientSession, DummyCookieJar

        self._session = ClientSession(
            connector=connector(self.config.allow_hosts, self.config.concurrency),
            headers=_HEADERS,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    async def get(
        self, url: str, conditions: Mapping[str, str] | None = None, wanted: Callable[[str], str] = lambda kind: ""
    ) -> Reply:
        """One address, no redirects followed; answers that may be different soon are asked for again.

        ``wanted``: content type -> why such an answer is not read, or "". Raises RefusedAddress, UnwantedReply, or
        FailedFetch when the last try failed too.
        """
        check(url, self.config.allow_hosts)
        for attempt in range(self.config.retries + 1):
            await self.pace.turn()
            wait = _FIRST_BACKOFF_S * 2**attempt * random.uniform(0.75, 1.25)
            try:
                reply = await self._once(url, conditions or {}, wanted)
                if reply.status not in _TRY_AGAIN:
                    return reply
                reason = f"answered {reply.status}"
                asked = _retry_after(reply.headers.get("retry-after", ""))
                wait = max(wait, asked)
                if asked > _MAX_WAIT_S:
                    raise FailedFetch(f"{reason} and asks to wait for {asked:.0f} s")
                if asked or reply.status in _BUSY:
                    self.pace.hold(wait)  # it means the whole site, not this page
            except TimeoutError:
                reason = f"no complete answer within {self.config.request_timeout_s:g} s"
            except _network_errors() as error:
                reason = f"could not be fetched ({network_reason(error)})"
            if attempt < self.config.retries:
                await asyncio.sleep(wait)
        raise FailedFetch(reason)

    async def follow(self, url: str) -> Reply:
        """The same with redirects followed; the reply's ``url`` is where they ended."""
        for _ in range(_MAX_REDIRECTS + 1):
            reply = await self.get(url)
            if not reply.location:
                return reply
            url = reply.location
        raise FailedFetch(f"more than {_MAX_REDIRECTS} redirects")

    async def _once(self, url: str, conditions: Mapping[str, str], wanted: Callable[[str], str]) -> Reply:
        from yarl import URL

        async with asyncio.timeout(self.config.request_timeout_s):
            request = self._session.get(URL(url, encoded=True), headers=conditions, allow_redirects=False)
            async with request as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                reply = Reply(url, response.status, headers, b"", _location(url, response.status, headers))
                if response.status != 200:
                    return reply
                reason = wanted(reply.content_type)
                if reason:
                    response.close()
                    raise UnwantedReply(reason, keep=False)
                return Reply(url, 200, headers, await self._body(response))

    async def _body(self, response: ClientResponse) -> bytes:
        """The text, decompressed; never more of it in memory than the limit."""
        unpack = Unpacker(response.headers.get("Content-Encoding", ""), self.max_bytes)
        try:
            if (response.content_length or 0) > self.max_bytes:
                raise _too_large(self.max_bytes)
            async for piece in response.content.iter_chunked(_PIECE):
                unpack.feed(piece)
            return unpack.done()
        except UnwantedReply:
            response.close()  # not read to its end, so the connection cannot be used again
            raise


class Pace:
    """Requests start at least ``interval`` seconds apart, and none while the site asked for a pause."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for this request's turn."""
        while (wait := self._next - time.monotonic()) > 0:  # noqa: ASYNC110  (`hold` may have moved it meanwhile)
            await asyncio.sleep(wait)
        self._next = time.monotonic() + self.interval

    def hold(self, seconds: float) -> None:
        """No request before that."""
        self._next = max(self._next, time.monotonic() + seconds)


class Unpacker:
    """A body as it comes in, decompressed piece by piece; UnwantedReply as soon as it is over ``limit`` bytes."""

    def __init__(self, encoding: str, limit: int) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise UnwantedReply(f"compressed as {name[:20]!r}, which was not asked for", keep=True)
        self.limit = limit
        self.packed = name not in ("", "identity")
        self._stream = zlib.decompressobj(wbits=47)
        self._out = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        if not self.packed:
            self._out += piece
        while self.packed and piece:
            if self._stream.eof:  # one more gzip member
                self._stream = zlib.decompressobj(wbits=47)
            try:
                self._out += self._stream.decompress(piece, self.limit + 1 - len(self._out))
            except zlib.error:
                raise UnwantedReply("damaged compression", keep=True) from None
            piece = self._stream.unused_data if len(self._out) <= self.limit else b""
        if len(self._out) > self.limit:
            raise _too_large(self.limit, unpacked=self.packed)

    def done(self) -> bytes:
        """All of it."""
        if self.packed and self._out and not self._stream.eof:
            raise UnwantedReply("compressed text that breaks off", keep=True)
        return bytes(self._out)


def _too_large(limit: int, unpacked: bool = False) -> UnwantedReply:
    how = " once decompressed" if unpacked else ""
    return UnwantedReply(f"larger than the limit of {megabytes(limit)}{how} (data.max_file_mb)", keep=True)


def _network_errors() -> tuple[type[Exception], ...]:
    from aiohttp import ClientError

    return (ClientError, OSError)


def _location(url: str, status: int, headers: Mapping[str, str]) -> str:
    if status not in _REDIRECTS or not headers.get("location"):
        return ""
    try:
        return urljoin(url, headers["location"].strip())
    except ValueError:
        raise RefusedAddress(f"{url}: redirects to something that is no address") from None


def _retry_after(value: str) -> float:
    """Seconds to wait, from a number or a date; 0 when it says neither."""
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
