"""A web site as a source: the crawl, and which pages may go afterwards.

    docduet data sync https://docs.example.com/guide/ --exclude '*/old/*'

Beginnings are data/web/seeds.py, the crawl is data/web/crawl.py, what is remembered between syncs data/web/state.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data.config import DataConfig
from data.convert import convert
from data.errors import SourceError, SuddenLossError, UnreachableSource, UnreadableDocument
from data.ledger import Ledger, Progress
from data.store import FileRecord
from data.web.crawl import Crawl
from data.web.fetch import FailedFetch, Fetcher, Reply, UnwantedReply
from data.web.guard import check
from data.web.hints import llms_pages
from data.web.links import Scope, normalise
from data.web.seeds import beside, read_robots, seed
from data.web.state import CrawlState

_FEW = 4
"""So few pages may always go: a share means nothing for a small site."""


def state_path(store_path: Path) -> Path:
    """Where the state of all crawls lies, beside the page store."""
    return store_path.with_name("crawls.sqlite")


class WebSource:
    """The pages of a site below the folder of ``source``. RefusedAddress when it must not be fetched."""

    def __init__(self, source: str, config: DataConfig, store_path: Path, prune: bool = False) -> None:
        self.name = normalise(source)
        check(self.name or source, config.allow_hosts)
        self.config = config
        self.prune = prune
        self.path = state_path(store_path)
        self.scope = Scope.around(self.name, config.include, config.exclude)

    def read_into(self, ledger: Ledger, progress: Progress) -> None:
        """Crawl, then decide what is kept although it was not found; the ledger removes the rest."""
        with CrawlState(self.path, self.name) as state:
            held = {url for url, owner in ledger.owners.items() if owner == self.name}
            if self.config.llms == "full":
                asyncio.run(self._read_full(ledger, progress))
                self._settle(ledger, state, ledger.missing(), len(held))
                return
            crawl = asyncio.run(self._crawl(state, ledger, progress, held))
            moved = {url: target for url in ledger.missing() if (target := state.now_at(url))}
            for url in ledger.missing():
                if not crawl.complete and url not in crawl.gone and url not in moved:
                    ledger.keep([url])
            lost = [url for url in ledger.missing() if url not in moved]
            state.finish(crawl.complete)
            self._settle(ledger, state, lost, len(held), merged(moved, ledger.report.added))

    async def _crawl(self, state: CrawlState, ledger: Ledger, progress: Progress, held: set[str]) -> Crawl:
        async with Fetcher(self.config) as fetcher:
            robots = await read_robots(fetcher, self.scope)
            fetcher.pace.interval = max(fetcher.pace.interval, robots.delay)
            crawl = Crawl(self.config, self.scope, state, ledger, robots, progress)
            if not state.begin(self._options(ledger), held):
                await seed(crawl, fetcher, self.name)
            await crawl.run(fetcher)
        if not crawl.reached:
            self._nothing_read(ledger, robots.allows(self.name))
        if state.total == 1 and crawl.outside:
            folder = self.scope.origin + self.scope.folder.rstrip("/").rpartition("/")[0] + "/"
            reason = f"the only page below this address; it leads to others, which are read with {folder} as the source"
            ledger.report.skipped.append((self.name, reason))
        if state.visited >= self.config.max_pages and not crawl.complete:
            reason = f"stopped after {self.config.max_pages:,} addresses, the site has more (data.max_pages)"
            ledger.report.skipped.append((self.name, reason))
        return crawl

    def _nothing_read(self, ledger: Ledger, allowed: bool) -> None:
        failed, skipped = dict(ledger.report.failed), dict(ledger.report.skipped)
        reason = failed.get(self.name) or skipped.get(self.name)
        reason = reason or ("it does not exist (404)" if allowed else "robots.txt forbids it")
        kind = UnreachableSource if failed else SourceError
        raise kind(f"{self.name}: nothing could be read: {reason}; check the address; nothing was removed")

    def _options(self, ledger: Ledger) -> str:
        """What makes an unfinished crawl the same crawl."""
        config = self.config
        return json.dumps([repr(self.scope), config.max_pages, config.depth, config.llms, ledger.recipe])

    def _settle(
        self, ledger: Ledger, state: CrawlState, lost: list[str], held: int, merged: Sequence[str] = ()
    ) -> None:
        """Keep ``lost`` pages until enough syncs have missed them; those that were ``merged`` into others go at once.

        SuddenLossError when there are too many of both.
        """
        if self.prune:
            state.miss([])
            return
        gone = [*lost, *merged]
        if len(gone) > max(_FEW, self.config.max_loss * held):
            raise SuddenLossError(
                f"{self.name}: {len(gone)} of {held} pages are gone ({', '.join(gone[:3])}, ...), more than "
                f"{self.config.max_loss:.0%} (data.max_loss); nothing was removed; if that is meant, run "
                f"`docduet data sync {self.name} --prune`"
            )
        missed = state.miss(lost)
        ledger.report.kept = [url for url in lost if missed[url] < self.config.grace_syncs]
        ledger.keep(ledger.report.kept)

    async def _read_full(self, ledger: Ledger, progress: Progress) -> None:
        """llms-full.txt: all pages in one file."""
        reply = await self._full_file()
        pages = list(llms_pages(reply.body.decode("utf-8", errors="replace"), reply.url))
        for done, (address, text) in enumerate(pages, start=1):
            url = self.scope.respell(address) or address if "#" not in address else address
            raw_hash = hashlib.sha256(text.encode()).hexdigest()
            known = ledger.current(url, url)
            try:
                made = None if known and known.raw_hash == raw_hash else convert(text.encode(), "page.md", url)
                record = FileRecord(url, url, len(text), 0, raw_hash, ledger.recipe, time.time_ns())
                ledger.take(record, made)
            except UnreadableDocument as error:
                ledger.report.skipped.append((url, str(error)))
            progress(done, len(pages), url)

    async def _full_file(self) -> Reply:
        reason = "does not exist"
        async with Fetcher(self.config) as fetcher:
            robots = await read_robots(fetcher, self.scope)
            for url in filter(robots.allows, beside(self.scope, "llms-full.txt")):
                try:
                    reply = await fetcher.follow(url)
                except (FailedFetch, UnwantedReply) as error:
                    raise UnreachableSource(f"{url}: {error}; nothing was removed; try again later") from None
                if reply.status == 200 and reply.content_type != "text/html":
                    return reply
                reason = f"answered {reply.status} ({reply.content_type})"
        raise SourceError(f"{self.name}: llms-full.txt {reason}; sync without --llms full")


def merged(moved: Mapping[str, str], added: Collection[str]) -> list[str]:
    """The pages of ``moved`` (old address -> new one) that leave the store smaller.

    One page that takes another's place is no loss; a site that sends all its old addresses to its start page is one.
    """
    fresh = set(added)
    successors = {target: url for url, target in moved.items() if target in fresh}
    return [url for url, target in moved.items() if successors.get(target) != url]
