"""One source folder into the page store: only what changed is read, converted and written.

    report = sync_folder("docs/", PageStore(home.pages), config)

A page's url is its path relative to the folder, behind ``base_url`` where one is set. A page belongs to the source that
brought it. Where two folders hold the same path, the first keeps it and the second one's file is skipped with that
reason (a base_url of its own tells them apart); a folder that is gone from the disk gives its pages up.

Pages are written one by one, each in a transaction, and removed together at the very end: a sync that is killed at any
moment has lost nothing, and the next one goes on where it stopped.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from data.config import DataConfig
from data.convert import CONVERTER_VERSION
from data.errors import BusyError, EmptySourceError
from data.reader import Job, Outcome, read_all
from data.source import Candidate, Skipped, open_folder, scan
from data.store import FileRecord, PageStore
from data.types import Page

Progress = Callable[[int, int, str], None]
"""Called with (files done, files in all, path of the last one)."""

_SETTLED_NS = 2_000_000_000
"""A file changed within two seconds of being read may have changed again without a new time stamp."""


@dataclass
class SyncReport:
    """What a sync did, as page urls; ``skipped`` holds (path, reason)."""

    source: str
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def touched(self) -> bool:
        """Whether the store differs from before, so that the index is out of date."""
        return bool(self.added or self.changed or self.removed)

    def as_dict(self) -> dict[str, Any]:
        """For --json: urls of what happened, and only the number of unchanged pages."""
        skipped = [{"path": path, "reason": reason} for path, reason in self.skipped]
        return {**asdict(self), "unchanged": len(self.unchanged), "skipped": skipped}


def sync_source(source: str, store: PageStore, config: DataConfig, progress: Progress | None = None) -> SyncReport:
    """Make the store hold what ``source`` holds, whatever kind of source its name says it is.

    Raises what the sync of that kind raises: see `sync_folder`.
    """
    return sync_folder(source, store, config, progress)


def sync_folder(source: str, store: PageStore, config: DataConfig, progress: Progress | None = None) -> SyncReport:
    """Make the store hold what ``source`` holds.

    Raises SourceError when there is no such folder, EmptySourceError when it holds no readable document (the pages of
    earlier syncs then stay as they are), BusyError while another sync writes to the same store.
    """
    folder = open_folder(source)
    with _lock(store.path):
        return _Sync(folder, store, config, progress or (lambda done, total, path: None)).run()


def page_url(path: str, base_url: str) -> str:
    """The page's url: ``guide/a b.md`` as it is, or ``https://docs.example.com/guide/a%20b.md``."""
    return f"{base_url.rstrip('/')}/{quote(path)}" if base_url else path


class _Sync:
    """One run: what was known before, and the report as it grows."""

    def __init__(self, folder: Path, store: PageStore, config: DataConfig, progress: Progress) -> None:
        self.source = str(folder)
        self.folder = folder
        self.store = store
        self.config = config
        self.progress = progress
        self.report = SyncReport(self.source)
        self.known = store.files(self.source)
        self.owners = store.owners()
        self.labels = {key: value for key, value in (("product", config.product), ("version", config.version)) if value}
        self.recipe = f"{CONVERTER_VERSION}|{config.base_url}|{config.product}|{config.version}"
        self.kept: set[str] = set()

    def run(self) -> SyncReport:
        started = time.monotonic()
        found = list(scan(self.folder, int(self.config.max_file_mb * 1e6)))
        candidates = [entry for entry in found if isinstance(entry, Candidate)]
        for entry in found:
            if isinstance(entry, Skipped):
                self._skip(entry)
        jobs = [job for candidate in candidates if (job := self._job(candidate))]
        at_once = len(candidates) - len(jobs)
        for done, outcome in enumerate(read_all(jobs), start=at_once + 1):
            self._take(outcome)
            self.progress(done, len(candidates), outcome.job.candidate.path)
        self._refuse_if_empty(found)
        self._remove_gone()
        for urls in (self.report.added, self.report.changed, self.report.unchanged):
            urls.sort()
        self.report.skipped.sort()
        self.report.seconds = time.monotonic() - started
        return self.report

    def _job(self, candidate: Candidate) -> Job | None:
        """What has to be read; None for a file that is certainly as it was."""
        url = page_url(candidate.path, self.config.base_url)
        owner = self.owners.get(url, self.source)
        if owner != self.source and Path(owner).is_dir():
            reason = f"{owner} already holds a page of this name; sync one of the two with a --base-url of its own"
            self._skip(Skipped(candidate.path, reason))
            return None
        known = self.known.get(candidate.path)
        current = known if known and known.recipe == self.recipe and self.owners.get(url) == self.source else None
        if current and _untouched(current, candidate):
            self._unchanged(url)
            return None
        known_hash = current.raw_hash if current else ""
        return Job(candidate, url, known_hash, int(self.config.max_file_mb * 1e6))

    def _take(self, outcome: Outcome) -> None:
        """Write what came of one file."""
        if outcome.skipped:
            self._skip(outcome.skipped)
            return
        job, url = outcome.job, outcome.job.page_url
        record = FileRecord(
            path=job.candidate.path,
            url=url,
            size=job.candidate.size,
            mtime_ns=job.candidate.mtime_ns,
            raw_hash=outcome.raw_hash,
            recipe=self.recipe,
            seen_at_ns=time.time_ns(),
        )
        page = self._page(outcome)
        old = self.store.find(url) if page and url in self.owners else None
        if page is None or (old is not None and _same(page, old)):
            self.store.remember(self.source, [record])
            self._unchanged(url)
            return
        self.store.put(page, record)
        self.kept.add(url)
        (self.report.changed if old else self.report.added).append(url)

    def _page(self, outcome: Outcome) -> Page | None:
        made = outcome.converted
        if made is None:
            return None
        return Page(outcome.job.page_url, made.title, made.body, made.lang, self.labels, time.time(), self.source)

    def _unchanged(self, url: str) -> None:
        self.kept.add(url)
        self.report.unchanged.append(url)

    def _skip(self, skipped: Skipped) -> None:
        """Report it; the older page of a file (of a folder: of all in it) stays unless it is no document now."""
        self.report.skipped.append((skipped.path, skipped.reason))
        if skipped.keep:
            below = [path for path in self.known if path == skipped.path or path.startswith(f"{skipped.path}/")]
            every = list(self.known) if skipped.path == "." else below
            self.kept.update(self.known[path].url for path in every)

    def _refuse_if_empty(self, found: Sequence[Candidate | Skipped]) -> None:
        report = self.report
        if report.added or report.changed or report.unchanged:
            return
        kept = "; nothing was removed" if self.known else ""
        if not found:
            raise EmptySourceError(f"{self.folder} is empty: give a folder with documents in it{kept}")
        shown = "; ".join(f"{path}: {reason}" for path, reason in sorted(report.skipped)[:3])
        kinds = "Markdown, HTML, reStructuredText, PDF, Word or text"
        raise EmptySourceError(f"{self.folder} holds no readable document ({kinds}){kept}. Skipped: {shown}")

    def _remove_gone(self) -> None:
        """Last of all, in one transaction, and only this source's pages."""
        gone = sorted(url for url, owner in self.owners.items() if owner == self.source and url not in self.kept)
        self.store.remove(self.source, gone)
        self.report.removed.extend(gone)


def _untouched(known: FileRecord, candidate: Candidate) -> bool:
    """Whether size and time stamp prove that a file is as it was."""
    same = (known.size, known.mtime_ns) == (candidate.size, candidate.mtime_ns)
    return same and known.mtime_ns < known.seen_at_ns - _SETTLED_NS


def _same(new: Page, old: Page) -> bool:
    """Whether a reader or a filter could tell the two apart."""
    return (new.content_hash, new.lang, dict(new.labels), new.source) == (
        old.content_hash,
        old.lang,
        dict(old.labels),
        old.source,
    )


@contextmanager
def _lock(store_path: Path) -> Iterator[None]:
    """One sync at a time for a store; the system frees the lock of a process that died."""
    store_path.parent.mkdir(parents=True, exist_ok=True)
    note = store_path.with_name(f"{store_path.name}.sync.pid")
    try:
        with FileLock(store_path.with_name(f"{store_path.name}.sync.lock"), timeout=0):
            note.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            try:
                yield
            finally:
                note.unlink(missing_ok=True)
    except Timeout:
        holder = "another process"
        with suppress(OSError):
            holder = note.read_text(encoding="utf-8") or holder
        raise BusyError(
            f"a sync is running already ({holder}); wait for it to end, or stop it, and try again"
        ) from None
