"""One source into the page store: only what changed is read, converted and written.

    report = sync_source("docs/", PageStore(home.pages), config)
    report = sync_source("https://docs.example.com", PageStore(home.pages), config)

A page belongs to the source that brought it. Pages are written one by one, each in a transaction, and removed together
at the very end: a sync that is killed at any moment has lost nothing, and the next one goes on where it stopped.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from data.config import DataConfig
from data.disk import full_disk_said
from data.errors import BusyError, SourceError
from data.folder import FolderSource
from data.ledger import Ledger, Progress, Source, SyncReport
from data.source import kind_of
from data.store import PageStore

__all__ = ["Progress", "SyncReport", "forget_source", "open_source", "sync_source"]


_ROOM = "free some room and sync again; all pages so far are kept"


def sync_source(
    source: str, store: PageStore, config: DataConfig, progress: Progress | None = None, prune: bool = False
) -> SyncReport:
    """Make the store hold what ``source`` holds: a folder, a web site or a git repository.

    ``prune`` lets a web site lose pages at once, and any number of them. Raises SourceError when the source cannot be
    read, EmptySourceError when it holds no readable document (the pages of earlier syncs then stay as they are),
    SuddenLossError when a site lost suspiciously many pages, BusyError while another sync writes to the same store,
    DiskFullError.
    """
    opened = open_source(source, store, config, prune)
    with _lock(store.path), full_disk_said(store.path.parent, _ROOM):
        ledger = Ledger(opened.name, store, config)
        opened.read_into(ledger, progress or (lambda done, total, path: None))
        return ledger.close()


def open_source(source: str, store: PageStore, config: DataConfig, prune: bool = False) -> Source:
    """The source that ``source`` names; SourceError when it names none."""
    kind = kind_of(source)
    if kind == "web":
        from data.web.site import WebSource

        return WebSource(source, config, store.path, prune)
    if kind == "git":
        from data.git import GitSource

        return GitSource(source, config, store.path.parent)
    return FolderSource(source)


def forget_source(source: str, store: PageStore) -> int | None:
    """Remove a source's pages and all that is known of it; their number, None when the store knows no such source."""
    names = {summary.source for summary in store.sources()}
    found = next((name for name in _names(source) if name in names), None)
    if found is None:
        return None
    with _lock(store.path):
        if kind_of(found) == "web":
            from data.web.site import state_path
            from data.web.state import CrawlState

            with CrawlState(state_path(store.path), found) as state:
                state.forget()
        return store.remove_source(found)


def _names(source: str) -> Iterator[str]:
    """What the store may call a source that the user calls ``source``."""
    yield source
    with suppress(SourceError):
        kind = kind_of(source)
        if kind == "web":
            from data.web.links import normalise

            yield normalise(source)
        elif kind == "git":
            from data.git import parse

            yield parse(source).name
        else:
            yield str(Path(source).expanduser().resolve())


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
