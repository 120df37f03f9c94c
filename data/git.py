"""A git repository as a source: a shallow checkout in DOCDUET_HOME/cache/git, then the folder sync over it.

    docduet data sync https://git.example.com/org/docs.git#main:docs/en

A page's url is its path below the subfolder; the store knows the source by the name that was given. Reading is left to
data/folder.py. What a repository could do to this machine is turned off: no transport but https, ssh and local paths,
no hooks, no submodules, no links out of the checkout, no questions asked.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from data.config import DataConfig
from data.errors import SourceError, UnreachableSource
from data.folder import FolderSource
from data.home import Home
from data.ledger import Ledger, Progress
from data.source import is_bare_repository

_TIMEOUT_S = 900
_OTHER_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    *("GIT_NAMESPACE", "GIT_COMMON_DIR", "GIT_ALLOW_PROTOCOL", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"),
)
"""Set where this runs inside of git, such as in a hook; they would point at that repository or open it up."""


@dataclass(frozen=True)
class Repository:
    """What to fetch: ``url`` as git takes it, ``ref`` a branch or tag ("" is the default one), ``folder`` in it."""

    url: str
    ref: str = ""
    folder: str = ""

    @property
    def name(self) -> str:
        """What the store calls it: ``https://host/org/docs.git#branch:folder``."""
        return f"{self.url}#{self.ref}{':' * bool(self.folder)}{self.folder}".removesuffix("#")


class GitSource:
    """The documents of one branch of a repository. ``root`` is DOCDUET_HOME."""

    def __init__(self, source: str, config: DataConfig, root: Path) -> None:
        self.repository = parse(source)
        self.name = self.repository.name
        key = hashlib.sha256(f"{self.repository.url}#{self.repository.ref}".encode()).hexdigest()[:16]
        self.checkout = Home(root).cache / "git" / key
        self.config = config

    def read_into(self, ledger: Ledger, progress: Progress) -> None:
        """Fetch what is new, then sync the folder."""
        fetch(self.repository, self.checkout, self.config)
        folder = self.checkout / self.repository.folder
        if not folder.is_dir():
            raise SourceError(f"{self.name}: no folder {self.repository.folder!r} in the repository; check the name")
        FolderSource(folder, self.name).read_into(ledger, progress)


def parse(source: str) -> Repository:
    """``git+https://host/org/docs.git#branch:folder`` taken apart and checked; SourceError when it is not safe."""
    address, _, rest = source.partition("#")
    ref, _, folder = rest.partition(":")
    url = address.removeprefix("git+")
    _refuse_unless_safe(source, url)
    if ref and not re.fullmatch(r"[\w][\w./+@-]*", ref):
        raise SourceError(f"{source}: {ref!r} is no branch or tag")
    if ".." in PurePosixPath(folder).parts or folder.startswith(("/", "~")) or ".git" in PurePosixPath(folder).parts:
        raise SourceError(f"{source}: the folder must lie in the repository")
    if "://" not in url and not _is_scp(url):
        url = str(Path(url).expanduser().resolve())
    return Repository(url, ref, folder.strip("/"))


def _refuse_unless_safe(source: str, url: str) -> None:
    """git takes more than repositories for an address: options, and helpers that run commands (``ext::sh -c ...``)."""
    problem = ""
    if url.startswith("-") or re.search(r"[\x00-\x20\x7f\\]", url):
        problem = "not an address"
    elif "::" in url.split("/")[0]:
        problem = "remote helpers are not used"
    elif "://" in url:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http", "ssh"):
            problem = f"{parts.scheme} is not used for repositories"
        elif not parts.hostname or parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
            problem = "no host"
        elif parts.password is not None:
            problem = "no passwords in addresses; use git's credential helper"
    elif not _is_scp(url) and not is_bare_repository(Path(url).expanduser()):
        problem = "no such repository"
    if problem:
        raise SourceError(f"{source}: {problem}; give a git repository as https://..., ssh://... or a local path")


def _is_scp(url: str) -> bool:
    """``git@host:org/docs.git``"""
    return bool(re.fullmatch(r"\w[\w.-]*@\w[\w.-]*:[\w./~][\w./~+-]*", url))


def fetch(repository: Repository, checkout: Path, config: DataConfig) -> None:
    """Make ``checkout`` the newest state of the branch, downloading that state only."""
    if shutil.which("git") is None:
        raise SourceError("git is not installed; install it, or check the repository out yourself and sync its folder")
    if not (checkout / ".git").is_dir():
        checkout.mkdir(parents=True, exist_ok=True)
        _git(checkout, ["init", "--quiet", "--template=", "."])
    url = Path(repository.url).as_uri() if repository.url.startswith("/") else repository.url
    pinned = _pinned(url, config)
    depth = ["--depth", "1", "--no-tags", "--no-recurse-submodules", "--quiet"]
    _git(checkout, [*pinned, "fetch", *depth, "--", url, repository.ref or "HEAD"], repository)
    _git(checkout, ["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"], repository)
    _git(checkout, ["clean", "--quiet", "-ffdx"], repository)


def _pinned(url: str, config: DataConfig) -> list[str]:
    """For http(s): the address that was checked is the one that git connects to, and it follows no redirects."""
    if not url.startswith(("http://", "https://")):
        return []
    from data.web.guard import check, resolve

    target = check(url, config.allow_hosts)
    address = resolve(target)[0]
    shown = f"[{address}]" if ":" in address else address
    return ["-c", f"http.curloptResolve={target.host}:{target.port}:{shown}", "-c", "http.proxy="]


def _git(checkout: Path, arguments: Sequence[str], repository: Repository | None = None) -> None:
    """Run git in ``checkout``; UnreachableSource with its last words when it fails."""
    safe = {
        "core.symlinks": "false",
        "core.hooksPath": "/dev/null",
        "http.followRedirects": "false",
        "protocol.allow": "never",
        "protocol.https.allow": "always",
        "protocol.http.allow": "always",
        "protocol.ssh.allow": "always",
        "protocol.file.allow": "always" if repository and repository.url.startswith("/") else "never",
    }
    options = [part for key, value in safe.items() for part in ("-c", f"{key}={value}")]
    environment = {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=20"}
    environment |= {key: value for key, value in os.environ.items() if key not in _OTHER_REPOSITORY}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
    command = ["git", "-C", str(checkout), *options, *arguments]
    name = repository.url if repository else str(checkout)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise UnreachableSource(f"{name}: git did not finish within {_TIMEOUT_S} s; nothing was removed") from None
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:", "remote:"))]
        said = "; ".join(words[-2:]) or done.stderr.strip()[-200:] or f"exit code {done.returncode}"
        raise UnreachableSource(f"{name}: git says: {said}; check address, branch and access; nothing was removed")
