"""The crawl of one site: the queue is visited until it is empty, and every answer is told to the ledger.

    crawl = Crawl(config, scope, state, ledger, progress)
    asyncio.run(crawl.run(start))

A redirect or a canonical link is no page: its target is queued instead, so that a page is stored once, under one
address. What an answer means for a page that the store already has:

    200, 304            it is as the answer says
    404, 410, noindex   it is gone: ``gone``
    robots.txt          it may not be read: ``gone``
    anything else       nobody knows: it is kept, and the links it had last time are followed
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable

from data.config import DataConfig
from data.errors import RefusedAddress, SourceError, UnreachableSource
from data.ledger import Ledger, Progress
from data.store import FileRecord
from data.web.document import Document, Reader, wanted
from data.web.fetch import FailedFetch, Fetcher, Reply, UnwantedReply
from data.web.hints import Robots
from data.web.links import Scope, is_markdown, normalise
from data.web.state import PAGE, CrawlState, Entry, Visit

_MAX_HOPS = 10
_GIVE_UP_AFTER = 10
"""Failures in a row after which the site counts as down."""
_QUEUE_PER_PAGE = 10
"""Addresses queued for each that may be visited: a site that links without end must not fill the disk."""


class Crawl:
    """One crawl under way. Afterwards ``gone`` holds pages that the site says are gone, ``complete`` whether every
    address that was found has been visited, ``reached`` how many gave an answer that is no failure, ``outside`` how
    many links led to pages of the site that do not belong to the crawl."""

    def __init__(
        self, config: DataConfig, scope: Scope, state: CrawlState, ledger: Ledger, robots: Robots, progress: Progress
    ) -> None:
        self.config = config
        self.scope = scope
        self.state = state
        self.ledger = ledger
        self.robots = robots
        self.progress = progress
        self.gone: set[str] = set()
        self.complete = True
        self.reached = 0
        self.outside = 0
        self._failures = 0
        self._asking = asyncio.Lock()
        self._busy: dict[str, bool] = {}

    async def run(self, fetcher: Fetcher) -> None:
        """Visit what the queue holds and what is found on the way; UnreachableSource when the site goes down."""
        self._replay()
        running: set[asyncio.Task[None]] = set()
        with Reader() as reader:
            try:
                while True:
                    while len(running) < self.config.concurrency and (entry := self._next()):
                        self._busy[entry.url] = entry.late
                        running.add(asyncio.create_task(self._visit(entry, fetcher, reader)))
                    if not running:
                        break
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        self.complete = self.complete and self.state.next(()) is None

    def seed(self, urls: Iterable[str], depth: int = 0, hops: int = 0, listed: bool = False) -> None:
        """Queue the addresses that belong to the crawl."""
        if depth > self.config.depth:
            return
        for url in urls:
            admitted = self.scope.admit(url)
            if admitted and self.state.total < self.config.max_pages * _QUEUE_PER_PAGE:
                self.state.add(admitted, depth, hops, listed)
            elif admitted:
                self.complete = False
            elif self.scope.respell(url):
                self.outside += 1

    def _next(self) -> Entry | None:
        if self._failures >= _GIVE_UP_AFTER:  # someone is asking whether the site is up
            return None
        if self.state.visited + len(self._busy) >= self.config.max_pages:
            return None
        entry = self.state.next(self._busy)
        return None if entry and entry.late and not all(self._busy.values()) else entry  # a twin may be found yet

    def _replay(self) -> None:
        """What a crawl that was cut off has done already."""
        for url, outcome, reason in self.state.outcomes():
            if outcome in PAGE:
                self.ledger.note(outcome, url)
                self.reached += 1
            elif outcome == "skipped":
                self.ledger.report.skipped.append((url, reason))
            elif outcome == "gone":
                self.gone.add(url)

    async def _visit(self, entry: Entry, fetcher: Fetcher, reader: Reader) -> None:
        """One address, from request to store."""
        url = entry.url
        visit = self.state.visit(url)
        try:
            if not self.robots.allows(url):
                self._end(entry, "gone")
                return
            reply = await fetcher.get(url, self._conditions(entry, visit), wanted)
            self._failures = 0
            await self._answered(entry, visit, reply, reader)
        except FailedFetch as failure:
            self._failed(entry, visit, str(failure))
            self._failures += 1
            if self._failures >= _GIVE_UP_AFTER and not await self._is_up(fetcher):
                raise UnreachableSource(
                    f"{self.ledger.source} has stopped answering ({url} {failure}); nothing was removed, and what was "
                    f"read is kept: sync again later to go on from there"
                ) from None
        except UnwantedReply as unwanted:
            self._failures = 0
            self._skip(entry, str(unwanted), unwanted.keep)
        except RefusedAddress as refused:
            self._skip(entry, str(refused), keep=True)
        finally:
            self._busy.pop(url, None)
            self.progress(self.state.visited, self.state.total, url)

    async def _is_up(self, fetcher: Fetcher) -> bool:
        """Whether the site answers at all, be it that many of its pages do not."""
        async with self._asking:
            if self._failures < _GIVE_UP_AFTER:  # another visit has asked meanwhile
                return True
            try:
                await fetcher.get(f"{self.scope.origin}/robots.txt")
            except FailedFetch:
                return False
            except UnwantedReply:
                pass
            self._failures = 0
            return True

    def _conditions(self, entry: Entry, visit: Visit) -> dict[str, str]:
        """Ask for the text only if it has changed; never for a page that the store does not hold as it would be now."""
        if not self.ledger.current(entry.url, entry.url) and (entry.own or not visit.target):
            return {}
        asked = {"If-None-Match": visit.etag, "If-Modified-Since": visit.modified}
        return {name: value for name, value in asked.items() if value}

    async def _answered(self, entry: Entry, visit: Visit, reply: Reply, reader: Reader) -> None:
        status = reply.status
        if status in (404, 410):
            self._end(entry, "gone")
        elif reply.location:
            self.reached += 1
            self._redirected(entry, reply.location)
        elif status == 304:
            self.reached += 1
            self.ledger.report.not_modified += 1
            self._as_before(entry, visit)
        elif status == 200:
            self.reached += 1
            await self._arrived(entry, visit, reply, reader)
        else:
            self._failed(entry, visit, f"answered {status}")

    def _redirected(self, entry: Entry, location: str) -> None:
        """The target is visited instead, if it belongs to the crawl and the chain has not become too long."""
        found = normalise(location, entry.url)
        target = self.scope.respell(found)
        if entry.url == self.ledger.source and target != found:
            raise SourceError(f"{entry.url} redirects to {found or location}; nothing was removed; sync that address")
        if entry.hops >= _MAX_HOPS or target == entry.url:
            self._skip(
                entry, f"redirects more than {_MAX_HOPS} times" if target != entry.url else "redirects to itself"
            )
            return
        with self.state.writing():
            self.seed([target] if target else [], entry.depth, entry.hops + 1, entry.listed)
            self.state.done(entry.url, "elsewhere", target=target)

    def _as_before(self, entry: Entry, visit: Visit) -> None:
        """The text is the known one: so are its links."""
        with self.state.writing():
            self.seed(visit.links, entry.depth + 1)
            if self._stands_aside(entry, visit.target):
                return
            if self.ledger.current(entry.url, entry.url):
                self.state.done(entry.url, self.ledger.note("unchanged", entry.url))
            else:  # its canonical page is gone: the text is needed now
                self.state.again(entry.url)

    async def _arrived(self, entry: Entry, visit: Visit, reply: Reply, reader: Reader) -> None:
        """A text: convert it unless its bytes are the known ones."""
        url, raw_hash = entry.url, hashlib.sha256(reply.body).hexdigest()
        fresh = Visit(url, reply.headers.get("etag", ""), reply.headers.get("last-modified", ""))
        known = self.ledger.current(url, url)
        record = FileRecord(url, url, len(reply.body), 0, raw_hash, self.ledger.recipe, time.time_ns())
        if known and known.raw_hash == raw_hash:
            with self.state.writing():
                self.state.remember(Visit(url, fresh.etag, fresh.modified, visit.links, visit.target))
            self._as_before(entry, visit)
            return
        charset = reply.headers.get("content-type", "").partition("charset=")[2].partition(";")[0].strip(" \"'")
        document = await reader.read(reply.body, url, reply.content_type, charset)
        self._store(entry, fresh, record, document, reply)

    def _store(self, entry: Entry, visit: Visit, record: FileRecord, document: Document, reply: Reply) -> None:
        """Queue the links, write the page, then say that the visit is over: a kill in between costs one request."""
        url = entry.url
        if entry.listed and is_markdown(url) and document.html:
            if self.state.release(url):
                self._skip(entry, "llms.txt names it as Markdown, and it is not")
            else:  # its HTML twin may only be found later
                with self.state.writing():
                    self.state.postpone(url)
            return
        if "noindex" in reply.headers.get("x-robots-tag", "").lower() or document.noindex:
            with self.state.writing():
                self.seed(document.links, entry.depth + 1)
            self._end(entry, "gone")
            return
        target = self._canonical(entry, document.canonical)
        with self.state.writing():
            self.seed(document.links, entry.depth + 1)
            if self._stands_aside(entry, target):
                older = self.ledger.current(url, url)  # should it come back, its text is needed: no ETag then
                fresh = Visit(url) if older else visit
                self.state.remember(Visit(url, fresh.etag, fresh.modified, document.links, target))
                return
        reason = document.reason or self._taken(url)
        if reason:
            self._skip(entry, reason, document.keep)
        elif not self.scope.selects(url):  # the start page of a crawl that includes other paths only
            self._end(entry, "elsewhere")
        else:
            outcome = self.ledger.take(record, document.converted)
            with self.state.writing():  # only now: an ETag must never be newer than the page in the store
                self.state.remember(Visit(url, visit.etag, visit.modified, document.links, target))
                self.state.done(url, outcome)

    def _canonical(self, entry: Entry, canonical: str) -> str:
        """The page that an address stands for by its canonical link: of this site and in the crawl, else itself."""
        target = self.scope.admit(canonical) if canonical else ""
        return target if target != entry.url and target and self.robots.allows(target) else ""

    def _stands_aside(self, entry: Entry, canonical: str) -> bool:
        """Whether another address is this page: its canonical one, or a twin that is preferred."""
        if entry.own:
            return False
        chosen = self.ledger.current(entry.url, entry.url) and self.state.visit(canonical).target == entry.url
        useless = not canonical or chosen or self.state.leads_back(canonical, entry.url)
        target = self.state.preferred(entry.url) if useless else canonical
        if not target:
            return False
        self.state.add(target, entry.depth, entry.hops)
        self.state.alias(entry.url, target)
        return True

    def _taken(self, url: str) -> str:
        return f"{self.ledger.owners[url]} already holds this page" if self.ledger.taken(url) else ""

    def _failed(self, entry: Entry, visit: Visit, reason: str) -> None:
        """No answer: the page stays, and what it led to is visited all the same."""
        self.ledger.report.failed.append((entry.url, reason))
        self.ledger.keep([entry.url])
        if entry.url in self.ledger.known and not visit.links:
            self.complete = False  # what it led to is not known
        with self.state.writing():
            self.seed(visit.links, entry.depth + 1)
            self.state.done(entry.url, "failed", reason)

    def _skip(self, entry: Entry, reason: str, keep: bool = False) -> None:
        self.ledger.report.skipped.append((entry.url, reason))
        if keep:
            self.ledger.keep([entry.url])
        else:
            self.gone.add(entry.url)
        with self.state.writing():
            self.state.done(entry.url, "skipped", reason)

    def _end(self, entry: Entry, outcome: str) -> None:
        if outcome == "gone":
            self.gone.add(entry.url)
        with self.state.writing():
            self.state.done(entry.url, outcome)
