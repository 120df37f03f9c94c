"""Reading one file of a source, and many of them in parallel: file -> Outcome. Touches no store.

Many files are converted by several processes. A file that kills its process (a hostile PDF) is skipped;
the others go on.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from data.convert import Converted, convert
from data.errors import UnreadableDocument
from data.processes import process_pool
from data.source import Candidate, Skipped, why

_PARALLEL_FROM_FILES = 48
_PARALLEL_FROM_BYTES = 8_000_000
"""Starting the processes takes about half a second: less work than this is done faster in this one."""


@dataclass(frozen=True)
class Job:
    """One file to read. A file whose bytes still hash to ``known_hash`` needs no conversion."""

    candidate: Candidate
    page_url: str
    known_hash: str = ""
    max_bytes: int = 50_000_000


@dataclass(frozen=True)
class Outcome:
    """What came of a job: ``skipped``, or ``converted``, or neither when the bytes are the known ones."""

    job: Job
    raw_hash: str = ""
    converted: Converted | None = None
    skipped: Skipped | None = None


def read(job: Job) -> Outcome:
    """Read, hash and convert one file. Every failure becomes a reason; nothing is raised."""
    path = job.candidate.path
    try:
        with job.candidate.file.open("rb") as stream:
            data = stream.read(job.max_bytes + 1)
    except OSError as error:
        return Outcome(job, skipped=Skipped(path, why(error)))
    if len(data) > job.max_bytes:
        return Outcome(job, skipped=Skipped(path, "grew over the size limit during the sync (data.max_file_mb)"))
    raw_hash = hashlib.sha256(data).hexdigest()
    if raw_hash == job.known_hash:
        return Outcome(job, raw_hash)
    try:
        return Outcome(job, raw_hash, converted=convert(data, path, job.page_url))
    except UnreadableDocument as error:
        return Outcome(job, raw_hash, skipped=Skipped(path, str(error), keep=False))
    except Exception as error:  # a converter's bug on one file must not end the sync of all the others
        reason = f"could not be converted ({type(error).__name__}: {error})"
        return Outcome(job, raw_hash, skipped=Skipped(path, reason[:300]))


def read_all(jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Outcomes as they come, in any order."""
    size = sum(job.candidate.size for job in jobs)
    workers = min(os.cpu_count() or 1, 8, len(jobs))
    if workers < 2 or (len(jobs) < _PARALLEL_FROM_FILES and size < _PARALLEL_FROM_BYTES):
        yield from map(read, jobs)
        return
    left = deque(jobs)
    while left:
        in_flight: list[Job] = []
        yield from _pooled(left, workers, in_flight)
        # A process died: each file that was being read gets a process of its own, to find the culprit.
        for job in in_flight:
            yield from _alone(job)


def _pooled(left: deque[Job], workers: int, in_flight: list[Job]) -> Iterator[Outcome]:
    """Read ``left`` (emptied on the way). When a process dies, stop: ``in_flight`` then holds what it may have been."""
    pool = process_pool(workers)
    running: dict[Future[Outcome], Job] = {}
    try:
        while left or running:
            while left and len(running) < workers * 4:
                running[pool.submit(read, left[0])] = left[0]
                left.popleft()
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                del running[future]
                yield outcome
    except BrokenProcessPool:
        in_flight.extend(running.values())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(job: Job) -> Iterator[Outcome]:
    with process_pool(1) as pool:
        try:
            yield pool.submit(read, job).result()
        except BrokenProcessPool:
            reason = "crashed its converter; save the document anew and sync again"
            yield Outcome(job, skipped=Skipped(job.candidate.path, reason))
