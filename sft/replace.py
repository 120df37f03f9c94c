"""A folder that is replaced as a whole: whatever happens meanwhile, there is the old one or the new one.

What is written lies in a hidden folder beside it, locked by its writer (flock), and changes places with the old one in
one step (renameat2, RENAME_EXCHANGE). A killed writer leaves its hidden folder behind; the next one finds it unlocked
and removes it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.disk import full_disk_said
from data.errors import ConfigError, DiskFullError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of ``out`` (absolute) at the end; on any failure it goes and ``out`` stays.

    Raises DiskFullError, and ConfigError for other failures of the file system.
    """
    fresh = out.parent / f".{out.name}.new-{os.getpid()}"
    lock = -1
    try:
        with full_disk_said(out.parent, f"free some room and build again; {out} is as it was"):
            out.parent.mkdir(parents=True, exist_ok=True)
            _tidy(out)
            fresh.mkdir()
            lock = _locked(fresh)
            yield fresh
            _sync(fresh)
            _swap(fresh, out)
    except DiskFullError:
        raise
    except OSError as error:
        raise ConfigError(f"the dataset cannot be written to {out}: {error}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # the new one that failed, or the old one
        if lock >= 0:
            os.close(lock)


def _tidy(out: Path) -> None:
    """Remove what killed writers left; put back what one had set aside and not replaced yet (see _swap)."""
    aside = out.parent / f".{out.name}.old"
    if aside.is_dir():
        if out.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(out)
    for left in out.parent.glob(f".{out.name}.new-*"):
        lock = _locked(left)
        if lock >= 0:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int:
    """A descriptor that holds the folder's lock until it is closed; -1 when somebody else holds it."""
    fd = -1
    try:
        fd = os.open(folder, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if fd >= 0:
            os.close(fd)
        return -1
    return fd


def _sync(folder: Path) -> None:
    """On the disk, so that after a power cut there is no folder of empty files."""
    for path in [*folder.iterdir(), folder]:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _swap(fresh: Path, out: Path) -> None:
    """``fresh`` becomes ``out``; what ``out`` was lies at ``fresh`` then."""
    if not out.exists():
        fresh.rename(out)
        return
    if _exchange(fresh, out):
        return
    aside = out.parent / f".{out.name}.old"  # a file system without the exchange, such as NFS: two steps
    out.rename(aside)
    try:
        fresh.rename(out)
    except OSError:
        aside.rename(out)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Whether the two changed places, in one step."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0
