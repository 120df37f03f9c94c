"""What one sync writes: pages into the store, and a report of it. The same for every kind of source.

A source (data/folder.py, data/git.py, data/web/) finds and reads documents and tells the ledger what came of each;
the ledger decides what is new, changed or as it was, and at the very end removes what nobody kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from data.config import DataConfig
from data.convert import CONVERTER_VERSION, Converted
from data.errors import EmptySourceError
from data.labels import fingerprint, labelled
from data.source import Skipped
from data.store import FileRecord, PageStore
from data.types import Page

Progress = Callable[[int, int, str], None]
"""Called with (documents done, documents in all, path of the last one)."""


@dataclass
class SyncReport:
    """What a sync did, as page urls; ``skipped`` holds (path, reason).

    The last three are for sources on the network: ``not_modified`` counts the unchanged pages whose text did not even
    have to be fetched, ``failed`` holds (url, reason) of what could not be fetched this time, and ``kept`` the pages
    that seem to be gone and are kept until more syncs have missed them.
    """

    source: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    not_modified: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def touched(self) -> bool:
        """Whether the store differs from before, so that the index is out of date."""
        return bool(self.added or self.changed or self.removed)

    def as_dict(self) -> dict[str, Any]:
        """For --json: urls of what happened, and only the number of unchanged pages."""
        reasons = {
            name: [{"path": path, "reason": reason} for path, reason in getattr(self, name)]
            for name in ("skipped", "failed")
        }
        return {**asdict(self), "unchanged": len(self.unchanged), **reasons}


class Source(Protocol):
    """Where documents come from. ``name`` is what the store calls it."""

    name: str

    def read_into(self, ledger: Ledger, progress: Progress) -> None:
        """Read every document and tell the ledger; raise SourceError when the source cannot be read at all."""


class Ledger:
    """One run: what was known before, and the report as it grows."""

    def __init__(self, source: str, store: PageStore, config: DataConfig) -> None:
        self.source = source
        self.store = store
        self.config = config
        self.report = SyncReport(source)
        self.known = store.files(source)
        self.owners = store.owners()
        self.recipe = f"{CONVERTER_VERSION}|{config.base_url}\n{fingerprint(config)}"
        self._relabel = {known.url: known for known in self.known.values() if known.recipe != self.recipe}
        self.kept: set[str] = set()
        self._started = time.monotonic()

    def taken(self, url: str) -> str:
        """Why this source cannot have a page of that url: another living source has it. Else nothing."""
        owner = self.owners.get(url, self.source)
        if owner == self.source or not _lives(owner):
            return ""
        return f"{owner} already holds a page of this name; sync one of the two with a --base-url of its own"

    def current(self, path: str, url: str) -> FileRecord | None:
        """What is known of a document, if its page still is what this sync would make of it."""
        known = self.known.get(path)
        alike = known and _unlabelled(known.recipe) == _unlabelled(self.recipe)
        return known if alike and self.owners.get(url) == self.source else None

    def take(self, record: FileRecord, made: Converted | None) -> str:
        """Write what came of one document (None: its bytes are the known ones): added, changed or unchanged."""
        url = record.url
        if made is None and url in self._relabel:
            self._relabel[url] = record
            return self.note("unchanged", url)
        self._relabel.pop(url, None)
        page, old = None, None
        if made is not None:
            page = Page(url, made.title, made.body, made.lang, fetched_at=time.time(), source=self.source)
            page = labelled(page, self.config, made.lang)
            old = self.store.find(url) if url in self.owners else None
        if page is None or (old is not None and _same(page, old)):
            self.store.remember(self.source, [record])
            return self.note("unchanged", url)
        self.store.put(page, record)
        self.owners[url] = self.source
        return self.note("changed" if old else "added", url)

    def note(self, what: str, url: str) -> str:
        """Report a page that this source has: ``what`` is added, changed or unchanged."""
        self.kept.add(url)
        getattr(self.report, what).append(url)
        return what

    def keep(self, urls: Iterable[str]) -> None:
        """Pages that are not removed this time."""
        self.kept.update(urls)

    def skip(self, skipped: Skipped) -> None:
        """Report it; the older page of a file (of a folder: of all in it) stays unless it is no document now."""
        self.report.skipped.append((skipped.path, skipped.reason))
        if skipped.keep:
            below = [path for path in self.known if path == skipped.path or path.startswith(f"{skipped.path}/")]
            every = list(self.known) if skipped.path == "." else below
            self.kept.update(self.known[path].url for path in every)

    def missing(self) -> list[str]:
        """This source's pages that nothing has kept so far."""
        return sorted(url for url, owner in self.owners.items() if owner == self.source and url not in self.kept)

    def close(self) -> SyncReport:
        """Remove what is gone, in one transaction. EmptySourceError, and no removal, when nothing at all was read."""
        self._refuse_if_empty()
        self._label_anew()
        gone = self.missing()
        self.store.remove(self.source, gone)
        self.store.synced(self.source)
        self.report.removed.extend(gone)
        for entries in (self.report.added, self.report.changed, self.report.unchanged, self.report.kept):
            entries.sort()
        self.report.skipped.sort()
        self.report.failed.sort()
        self.report.seconds = time.monotonic() - self._started
        return self.report

    def _label_anew(self) -> None:
        """Pages that are as they were, under label rules that are not: nothing is read again."""
        for url, record in self._relabel.items():
            old = self.store.find(url) if url in self.kept else None
            if old is None or old.source != self.source or _unlabelled(record.recipe) != _unlabelled(self.recipe):
                continue
            page, record = labelled(old, self.config), replace(record, recipe=self.recipe)
            if _same(page, old):
                self.store.remember(self.source, [record])
                continue
            self.store.put(page, record)
            self.report.changed.append(url)
        changed = set(self.report.changed)
        self.report.unchanged = [url for url in self.report.unchanged if url not in changed]

    def _refuse_if_empty(self) -> None:
        report = self.report
        if report.added or report.changed or report.unchanged:
            return
        kept = "; nothing was removed" if self.known else ""
        if not report.skipped and not report.failed:
            raise EmptySourceError(f"{self.source} is empty: give a folder with documents in it{kept}")
        shown = "; ".join(f"{path}: {reason}" for path, reason in sorted(report.failed + report.skipped)[:3])
        kinds = "Markdown, HTML, reStructuredText, PDF, Word or text"
        raise EmptySourceError(f"{self.source} holds no readable document ({kinds}){kept}. Skipped: {shown}")


def _lives(owner: str) -> bool:
    """Whether a source can still bring its pages; only a folder can be seen to be gone."""
    return bool(re.match(r"[\w+.-]+://|[\w.-]+@", owner)) or "#" in owner or Path(owner).is_dir()


def _unlabelled(recipe: str) -> str:
    """The part of a recipe whose change means converting the document anew; its labels come after it."""
    return recipe.partition("\n")[0]


def _same(new: Page, old: Page) -> bool:
    """Whether a reader or a filter could tell the two apart."""
    return (new.content_hash, new.lang, dict(new.labels), new.source) == (
        old.content_hash,
        old.lang,
        dict(old.labels),
        old.source,
    )
