"""A folder as a source: a page's url is the file's path in it, behind ``base_url`` where one is set.

Where two folders hold the same path, the first keeps it and the second one's file is skipped with that reason (a
base_url of its own tells them apart); a folder that is gone from the disk gives its pages up.
"""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

from data.ledger import Ledger, Progress
from data.reader import Job, Outcome, read_all
from data.source import Candidate, Skipped, open_folder, scan
from data.store import FileRecord

_SETTLED_NS = 2_000_000_000
"""A file changed within two seconds of being read may have changed again without a new time stamp."""


class FolderSource:
    """Every document below ``folder``; ``name`` is the folder's real path unless the files came from elsewhere.

    Raises SourceError when there is no such folder.
    """

    def __init__(self, folder: str | Path, name: str = "") -> None:
        self.folder = open_folder(str(folder))
        self.name = name or str(self.folder)

    def read_into(self, ledger: Ledger, progress: Progress) -> None:
        """Read what changed since the last sync, in several processes where that pays."""
        max_bytes = int(ledger.config.max_file_mb * 1e6)
        candidates: list[Candidate] = []
        for entry in scan(self.folder, max_bytes):
            if isinstance(entry, Skipped):
                ledger.skip(entry)
            else:
                candidates.append(entry)
        jobs = [job for candidate in candidates if (job := _job(candidate, ledger, max_bytes))]
        at_once = len(candidates) - len(jobs)
        for done, outcome in enumerate(read_all(jobs), start=at_once + 1):
            _take(outcome, ledger)
            progress(done, len(candidates), outcome.job.candidate.path)


def page_url(path: str, base_url: str) -> str:
    """The page's url: ``guide/a b.md`` as it is, or ``https://docs.example.com/guide/a%20b.md``."""
    return f"{base_url.rstrip('/')}/{quote(path)}" if base_url else path


def _job(candidate: Candidate, ledger: Ledger, max_bytes: int) -> Job | None:
    """What has to be read; None for a file that is certainly as it was, or not this source's."""
    url = page_url(candidate.path, ledger.config.base_url)
    reason = ledger.taken(url)
    if reason:
        ledger.skip(Skipped(candidate.path, reason))
        return None
    current = ledger.current(candidate.path, url)
    if current and _untouched(current, candidate):
        ledger.note("unchanged", url)
        return None
    return Job(candidate, url, current.raw_hash if current else "", max_bytes)


def _take(outcome: Outcome, ledger: Ledger) -> None:
    """Write what came of one file."""
    if outcome.skipped:
        ledger.skip(outcome.skipped)
        return
    candidate = outcome.job.candidate
    record = FileRecord(
        path=candidate.path,
        url=outcome.job.page_url,
        size=candidate.size,
        mtime_ns=candidate.mtime_ns,
        raw_hash=outcome.raw_hash,
        recipe=ledger.recipe,
        seen_at_ns=time.time_ns(),
    )
    ledger.take(record, outcome.converted)


def _untouched(known: FileRecord, candidate: Candidate) -> bool:
    """Whether size and time stamp prove that a file is as it was."""
    same = (known.size, known.mtime_ns) == (candidate.size, candidate.mtime_ns)
    return same and known.mtime_ns < known.seen_at_ns - _SETTLED_NS
