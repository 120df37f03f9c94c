"""How far a sync of a home is, in a small file there, so that a gateway can show it: also one of another process.

    told = ProgressFile(home.progress)
    told.tell("read", 3, 120, "docs/", "guide/ports.md")
    told.close()

It is a courtesy: where it cannot be written, the sync goes on without it.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

EVERY_S = 0.2
"""Written so often at most, but for the beginning of a stage."""

STALE_S = 300.0
"""What has not been written for so long is left of a process that was killed."""


@dataclass(frozen=True)
class SyncProgress:
    """``stage``: read (documents of ``source``), chunk, embed or write. ``total``: 0 where nobody knows yet.

    ``item``: the document just read. Times are seconds since the epoch; ``since``: when the sync began.
    """

    stage: str
    done: int
    total: int
    source: str
    item: str
    since: float
    at: float
    pid: int


class ProgressFile:
    """The progress of this process's sync, in ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since = time.time()
        self._stage = ("", "")
        self._next = 0.0

    def tell(self, stage: str, done: int, total: int, source: str = "", item: str = "") -> None:
        """Write it down, unless that was done just now."""
        now = time.monotonic()
        if now < self._next and (stage, source) == self._stage and done != total:
            return
        self._next, self._stage = now + EVERY_S, (stage, source)
        told = SyncProgress(stage, done, total, source, item, self._since, time.time(), os.getpid())
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            draft.write_text(json.dumps(asdict(told), ensure_ascii=False), encoding="utf-8")
            os.replace(draft, self._path)

    def close(self) -> None:
        """Nothing is going on any more. The file of another process stays."""
        told = read_progress(self._path)
        if told and told.pid == os.getpid():
            self._path.unlink(missing_ok=True)


def read_progress(path: Path) -> SyncProgress | None:
    """What is going on now, if anything."""
    try:
        told = SyncProgress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return told if time.time() - told.at < STALE_S else None
