"""What a source's name says it is, and what a source folder holds: every file that may be a document, in a fixed order,
without reading any of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.errors import SourceError

SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "venv", "__MACOSX"})
"""Beside every hidden folder (.git, .venv, ...): never documentation."""


_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.[a-z]{2,}(:\d+)?(/|$)|localhost(:\d+)?(/|$)", re.IGNORECASE)
"""What may be a web address without its https://."""


@dataclass(frozen=True)
class Skipped:
    """A file that gave no page. ``keep``: an older page of it stays, for the file itself may be fine."""

    path: str
    reason: str
    keep: bool = True


@dataclass(frozen=True)
class Candidate:
    """A file to look at. ``path`` is relative to the source, with POSIX slashes."""

    path: str
    file: Path
    size: int
    mtime_ns: int


def kind_of(source: str) -> Literal["folder", "web", "git"]:
    """What a source is by its name; whether it exists is another question.

    git: ``git+https://...``, ``ssh://...``, ``user@host:path``, ``https://.../repo.git``, the path of a bare
    repository; any of them may end in ``#branch:subfolder``. web: any other http(s) address. SourceError for the rest
    of what looks like an address.
    """
    address = source.partition("#")[0]
    if re.match(r"git\+(https|ssh)://|ssh://|[\w.-]+@[\w.-]+:(?!/)", source):
        return "git"
    if re.match(r"https?:", source, re.IGNORECASE):
        return "git" if address.rstrip("/").endswith(".git") else "web"
    if re.match(r"[\w+.-]+:(//|:)", source):
        raise SourceError(f"{source}: give a folder, an https:// address, or a git repository (https, ssh or a path)")
    return "git" if is_bare_repository(Path(address).expanduser()) else "folder"


def is_bare_repository(path: Path) -> bool:
    """Whether ``path`` is a git repository without files checked out, such as ``docs.git``."""
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def open_folder(source: str) -> Path:
    """The folder's real path; SourceError when there is none."""
    folder = Path(source).expanduser()
    try:
        resolved = folder.resolve(strict=True)
    except OSError:
        site = f", or write https://{source} if it is a web site" if _HOST.match(source) else ""
        raise SourceError(f"{source}: no such folder; check the path{site}") from None
    if not resolved.is_dir():
        raise SourceError(f"{source} is a file; give the folder that holds it")
    if not os.access(resolved, os.R_OK | os.X_OK):
        raise SourceError(f"{source}: permission denied; make the folder readable for this user")
    return resolved


def scan(folder: Path, max_bytes: int) -> Iterator[Candidate | Skipped]:
    """Every visible file below ``folder``, sorted by path. Hidden files are passed over in silence."""
    yield from _scan(folder, "", max_bytes, frozenset({_identity(folder)}))


def _scan(
    folder: Path, prefix: str, max_bytes: int, above: frozenset[tuple[int, int]]
) -> Iterator[Candidate | Skipped]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(prefix.rstrip("/") or ".", why(error))
        return
    for entry in entries:
        path = prefix + entry.name
        if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS:
            continue
        try:
            entry.name.encode()
            if not entry.is_dir():
                yield _candidate(entry, path, max_bytes)
            elif _identity(Path(entry.path)) in above:
                yield Skipped(path, "a link back to a folder above it", keep=False)
            else:
                yield from _scan(Path(entry.path), f"{path}/", max_bytes, above | {_identity(Path(entry.path))})
        except UnicodeEncodeError:
            yield Skipped(os.fsencode(path).decode(errors="replace"), "the file name is not valid UTF-8; rename it")
        except OSError as error:
            yield Skipped(path, why(error))


def _candidate(entry: os.DirEntry[str], path: str, max_bytes: int) -> Candidate | Skipped:
    if not entry.is_file():
        gone = entry.is_symlink()
        return Skipped(path, "a link to a file that does not exist" if gone else "not a regular file", keep=False)
    status = entry.stat()
    if status.st_size > max_bytes:
        return Skipped(
            path, f"{megabytes(status.st_size)} is over the limit of {megabytes(max_bytes)} (data.max_file_mb)"
        )
    return Candidate(path, Path(entry.path), status.st_size, status.st_mtime_ns)


def why(error: OSError) -> str:
    """An operating system error as a reason for the user."""
    if isinstance(error, FileNotFoundError):
        return "vanished during the sync; its page is kept until the next one"
    if isinstance(error, PermissionError):
        return "permission denied; its page, if there was one, is kept"
    return (error.strerror or type(error).__name__).lower()


def megabytes(size: int) -> str:
    """``209715200`` -> 210 MB."""
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e6:.2g} MB"


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
