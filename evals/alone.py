"""One process at a time at one piece of work, told by a lock file that is gone when nobody holds it.

The kernel holds the lock (flock), so a process that is killed frees it. The file is removed while it is still locked,
and whoever gets the lock of a file that has been removed meanwhile asks again: two never both believe to be alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import BusyError


@contextmanager
def alone(lock: Path, busy: str) -> Iterator[None]:
    """Hold the file ``lock``, whose folder is made. Raises BusyError(``busy``) while another holds it, OSError."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = _held(lock)
    while held is not None and not _is_there(held, lock):
        os.close(held)
        held = _held(lock)
    if held is None:
        raise BusyError(busy)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(held)


def _held(lock: Path) -> int | None:
    """The file, open and locked; None where another has locked it."""
    file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file


def _is_there(held: int, lock: Path) -> bool:
    """Whether the locked file is still the one of that name: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(held), lock.stat())
    except FileNotFoundError:
        return False
