"""The folder of index generations: which one is live, how a new one takes over, how to go back.

index/CURRENT                             the live generation's id, replaced in one step
index/20261124T110203.123456-1a2b3c4d/    a generation, never changed once it has this name; names sort by age
index/.building-*/                        one being built, or what a killed build left; the next build removes it,
                                          together with its vectors in a database, if that is where they are
index/.lock                               held while building
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import BusyError, DocDuetError, NoIndexError
from rag.generation import GenerationInfo, Manifest
from rag.vector_store import forget_vectors

log = logging.getLogger(__name__)

NOTHING_YET = "nothing is indexed yet: run `docduet sync FOLDER` with the folder of your docs"
_NAME = re.compile(r"\d{8}T\d{6}(\.\d{6})?-[0-9a-f]{8}")
_STAMP = "%Y%m%dT%H%M%S.%f"
_LITTER = (".building-", ".CURRENT-")


class Generations:
    """The generations below ``root``, some perhaps with their vectors in the database at the URL ``vector_store``.

    Nothing is made until somebody writes.
    """

    def __init__(self, root: Path, vector_store: str = "") -> None:
        self.root = root
        self._vector_store = vector_store
        self.pointer = root / "CURRENT"

    def current(self) -> Path:
        """The live generation's folder. Raises NoIndexError."""
        try:
            name = self.pointer.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise NoIndexError(NOTHING_YET) from None
        folder = self.root / name
        if not name or not folder.is_dir():
            raise NoIndexError(f"{folder} is gone: run `docduet rag index`")
        return folder

    def list(self) -> list[GenerationInfo]:
        """What is kept and readable, oldest first."""
        found = []
        for folder in sorted(self.root.iterdir()) if self.root.is_dir() else []:
            try:
                found.append(Manifest.load(folder).info)
            except (OSError, ValueError, TypeError, KeyError):
                continue  # no generation
        return found

    @contextmanager
    def building(self) -> Iterator[None]:
        """Hold the lock, after which litter of killed builds is gone. Raises BusyError while another build runs."""
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.root / ".lock", timeout=0):
                self._clean()
                yield
        except Timeout:
            raise BusyError("an index is being built already: wait for it to end, or stop it, and try again") from None

    def start(self) -> tuple[str, Path]:
        """A new generation's id and the temporary folder to build it in."""
        there = (path.name for path in self.root.iterdir() if _NAME.fullmatch(path.name))
        name = f"{_stamp_after(there)}-{uuid.uuid4().hex[:8]}"
        folder = self.root / f".building-{name}"
        folder.mkdir()
        return name, folder

    def publish(self, name: str, folder: Path) -> Path:
        """Make a completed temporary folder the live generation: on disk first, then renamed, then pointed to."""
        for path in sorted(folder.rglob("*")):
            _sync(path)
        _sync(folder)
        final = self.root / name
        folder.rename(final)
        _sync(self.root)
        self.point_to(name)
        return final

    def discard(self, folder: Path) -> None:
        """Delete the temporary folder of a build, unless it has been published."""
        if folder.exists():
            self._delete(folder)

    def point_to(self, name: str) -> None:
        """Replace CURRENT in one step."""
        draft = self.root / f".CURRENT-{uuid.uuid4().hex}"
        draft.write_text(name + "\n", encoding="utf-8")
        _sync(draft)
        os.replace(draft, self.pointer)
        _sync(self.root)

    def size(self, name: str) -> int:
        """What a generation takes on this disk, in bytes; 0 for one that is gone."""
        return sum(path.stat().st_size for path in (self.root / name).rglob("*") if path.is_file())

    def rollback(self, to: str = "") -> GenerationInfo:
        """Point to generation ``to``, or to the one before the live one. Raises NoIndexError when there is none."""
        with self.building():
            kept = {info.id: info for info in self.list()}
            live = self.current().name
            older = [name for name in kept if name < live]
            target = to or (older[-1] if older else "")
            if target not in kept:
                what = f"there is no generation {to!r}" if to else f"there is none before {live}"
                raise NoIndexError(f"{what}; kept: {', '.join(kept)}")
            self.point_to(target)
            return kept[target]

    def prune(self, keep: int) -> None:
        """Delete the oldest beyond ``keep``, and what this version cannot read; never the live one."""
        live = self.current().name
        readable = {info.id for info in self.list()}
        for path in list(self.root.iterdir()):
            if _NAME.fullmatch(path.name) and path.name not in readable | {live}:
                self._delete(path)
        others = [info.id for info in self.list() if info.id != live]
        for name in others[: max(0, len(others) - keep + 1)]:
            self._delete(self.root / name)

    def _clean(self) -> None:
        for path in self.root.iterdir():
            if path.name.startswith(_LITTER):
                self._delete(path)

    def _delete(self, path: Path) -> None:
        """Out of sight first: a folder that is half deleted when the process dies must not look like a generation."""
        if not path.is_dir():
            path.unlink(missing_ok=True)
            return
        hidden = path if path.name.startswith(_LITTER) else path.with_name(f".building-gone-{path.name}")
        path.rename(hidden)
        try:
            forget_vectors(hidden, self._vector_store)
        except DocDuetError as error:
            log.warning("%s; the next build removes the vectors of %s", error, path.name)
            return
        shutil.rmtree(hidden, ignore_errors=True)


def _stamp_after(names: Iterable[str]) -> str:
    """The time, to the microsecond, as an id begins with it: later than all of ``names``, whatever the clock says."""
    now = datetime.now(UTC).strftime(_STAMP)
    newest = max(names, default="")
    if newest < f"{now}-":
        return now
    last = newest.rpartition("-")[0]
    moment = datetime.strptime(last if "." in last else f"{last}.0", _STAMP)
    return (moment + timedelta(microseconds=1)).strftime(_STAMP)


def _sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
