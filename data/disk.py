"""A full disk, whoever met it, as one clear error."""

from __future__ import annotations

import errno
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import DiskFullError, DocDuetError

_FULL = re.compile(r"disk is full|no space left|\d+ requested and \d+ written", re.IGNORECASE)
"""What SQLite, FAISS and NumPy say of a full disk, without an errno."""

_CRAMPED = 1_000_000


@contextmanager
def full_disk_said(root: Path, advice: str) -> Iterator[None]:
    """DiskFullError, with ``advice``, when what is done inside meets a full disk; ``root``: where it writes.

    What has been explained already passes: the disk that a database server calls full is not this one."""
    try:
        yield
    except (OSError, sqlite3.Error, RuntimeError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        # SQLite calls it an I/O error where it cannot even open its journal.
        cramped = isinstance(error, sqlite3.OperationalError) and shutil.disk_usage(root).free < _CRAMPED
        if isinstance(error, DocDuetError) or not (full or cramped or _FULL.search(str(error))):
            raise
        raise DiskFullError(f"the disk of {root} is full: {advice}") from error
