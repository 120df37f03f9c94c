"""feedback.jsonl: answers that people corrected in the chat. Written by the gateway, read by `docduet sft build`.

One JSON object a line (`Feedback`), appended under a file lock and synced to disk, so that several gateway processes
may write. A process that was killed while it wrote leaves half a line at the end: a reader skips it with a warning, the
next writer takes it away. Nothing is changed in place: a later line takes the place of an earlier one (corrections.py).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from data.errors import ConfigError

logger = logging.getLogger(__name__)


Review = Literal["kept", "proposed", "promoted", "rejected"]
"""Of a correction: nobody has asked for anything; whoever corrected wants it used; an administrator said yes, or no."""


class Turn(BaseModel):
    """One earlier message of the conversation."""

    role: str = Field(pattern="^(user|assistant)$")
    content: str


class Feedback(BaseModel):
    """What somebody says about one answer. ``correction`` is the answer as it should have been; "" when only rated.

    ``history``: the turns before the question. ``sources``: urls of the pages under the answer. ``created_at``: when it
    was asked, in seconds since the epoch (UTC). ``choice``: which answer of a comparison. ``pages``: those that answer
    the question, as whoever corrected it says; None: nothing was said. ``withdrawn``: the correction was taken back.
    Fields that a later version adds are ignored.
    """

    question: str = Field(min_length=1)
    answer: str
    correction: str = ""
    history: tuple[Turn, ...] = ()
    sources: tuple[str, ...] = ()
    lang: str = ""
    arm: str = ""
    answer_id: str = ""
    comment: str = ""
    created_at: float = 0.0
    choice: int = 0
    pages: tuple[str, ...] | None = None
    review: Review = "kept"
    withdrawn: bool = False


def append_feedback(path: Path, feedback: Feedback) -> None:
    """Add one line; it is on the disk when this returns. Raises OSError."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        _append(path, feedback)


def amend_feedback(path: Path, change: Callable[[list[Feedback]], Sequence[Feedback]]) -> None:
    """Add the lines that ``change`` makes of those there are; no other process writes in between.

    Raises OSError, and ConfigError for a file that is broken.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        made = change(read_feedback(path) if path.exists() else [])
        if made:
            _append(path, *made)


def _append(path: Path, *lines: Feedback) -> None:
    with path.open("a+b") as file:
        _mend(file.fileno())
        file.write(b"".join(line.model_dump_json().encode() + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def _mend(fd: int) -> None:
    """End the last line, if it is whole, or cut it off: so a torn line never comes to stand in the middle."""
    size = os.fstat(fd).st_size
    if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
        return
    start = _last_line(fd, size)
    if _parsed(os.pread(fd, size - start, start)) is None:
        os.ftruncate(fd, start)
    else:
        os.write(fd, b"\n")


def _last_line(fd: int, size: int) -> int:
    """Where the last line begins."""
    at = size
    while at > 0:
        step = min(at, 1 << 16)
        found = os.pread(fd, step, at - step).rfind(b"\n")
        if found >= 0:
            return at - step + found + 1
        at -= step
    return 0


def read_feedback(path: Path) -> list[Feedback]:
    """All whole lines. Raises ConfigError for a line in the middle that is no feedback, and for an unreadable file."""
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            read = _parsed(line)
            if read is None:
                raise ConfigError(f'{path}: line {number} is no feedback: it needs "question" and "answer" at least')
            found.append(read)
    if last.strip():
        read = _parsed(last)
        if read is None:
            logger.warning("%s: the last line is torn and was skipped (a process was killed while it wrote)", path)
        else:
            found.append(read)
    return found


def _parsed(line: bytes) -> Feedback | None:
    try:
        return Feedback.model_validate_json(line)
    except ValidationError:
        return None
