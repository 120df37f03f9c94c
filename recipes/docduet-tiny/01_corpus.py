"""Debian's free documentation -> pages.jsonl.xz: what docduet-tiny learns to read from.

    python recipes/docduet-tiny/01_corpus.py                    everything in packages.txt, into DOCDUET_HOME/tiny
    python recipes/docduet-tiny/01_corpus.py --only git-doc     one package, to look at
    python recipes/docduet-tiny/01_corpus.py --licences         what the packages' own copyright files say

Runs on Debian 12 with its main section in apt's sources. Each package is fetched, unpacked, converted and cleaned on
its own and kept in WORK/packages/, so a second run only does what is missing; then all are sifted for duplicates.
A line of pages.jsonl.xz: {id, package, path, title, lang, body, licence, faq, split}.
The tokenizer is 02_tokenizer.py's work.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import multiprocessing
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from cleaning import Deduplicator, capped, is_faq, is_useful, shuffled, without_boilerplate
from debian import CorpusError, Package, Tools, archive, download, licence_names, read_packages, unpack
from documents import Page, documents, page_of

from data.home import Home

HERE = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    try:
        packages = [
            package for package in read_packages(options.packages) if not options.only or package.name in options.only
        ]
        tools = Tools.fetch(options.work / "debs", options.work / "tools")
        end = time.monotonic() + 60 * options.minutes
        files = [_one(package, tools, options) for package in packages if time.monotonic() < end]
        if options.licences or options.no_merge:
            return 0
        _merge([file for file in files if file], packages, options.out or options.work / "pages.jsonl.xz", options.seed)
    except CorpusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Home.from_env().root / "tiny", help="working folder (DOCDUET_HOME/tiny)"
    )
    parser.add_argument("--packages", type=Path, default=HERE / "packages.txt", help="the list of packages")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these packages of the list alone")
    parser.add_argument("--out", type=Path, help="the pages' file (WORK/pages.jsonl.xz)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=8, help="order of the pages")
    parser.add_argument(
        "--licences", action="store_true", help="print the licences named by each package, convert nothing"
    )
    parser.add_argument(
        "--minutes", type=float, default=1e6, help="begin no further package after so long; the next run goes on"
    )
    parser.add_argument("--no-merge", action="store_true", help="convert the packages only")
    parser.add_argument("--keep-debs", action="store_true", help="leave the downloaded packages in WORK/debs")
    return parser.parse_args(argv)


def _one(package: Package, tools: Tools, options: argparse.Namespace) -> Path | None:
    """The cleaned pages of one package, in a file of their own."""
    done = options.work / "packages" / f"{_file_name(package)}.jsonl.xz"
    if done.exists() and not options.licences:
        return done
    missing = download([package.name], options.work / "debs")
    if missing:
        print(f"{package.name}: left out, {missing[package.name]}", file=sys.stderr)
        return None
    deb = archive(package.name, options.work / "debs")
    assert deb is not None
    root = unpack(deb, options.work / "unpacked" / _file_name(package))
    try:
        if options.licences:
            print(f"{package.name}\t{package.licence}\t{licence_names(root, package.name)}")
            return None
        pages = _converted(root, package, tools, options.processes)
    finally:
        shutil.rmtree(root)
        if not options.keep_debs:
            deb.unlink()
    write_pages(done, pages)
    return done


def _file_name(package: Package) -> str:
    return package.name.replace(":", "-")


def _converted(root: Path, package: Package, tools: Tools, processes: int) -> list[Page]:
    found = list(documents(root, package))
    convert_one = partial(page_of, package=package, tools=tools)
    pages: list[Page] = []
    with multiprocessing.Pool(processes) as pool:
        for number, page in enumerate(pool.imap(convert_one, found, chunksize=8), start=1):
            if page is not None:
                pages.append(page)
            _progress(package.name, number, len(found))
    useful = [replace(page, faq=is_faq(page)) for page in without_boilerplate(pages) if is_useful(page)]
    kept = [page for lang in ("en", "zh") for page in capped(page for page in useful if page.lang == lang)]
    size = sum(len(page.body.encode()) for page in kept)
    print(f"\r{package.name}: {len(found)} files, {len(kept)} pages, {size / 1e6:.2f} MB" + " " * 20, file=sys.stderr)
    return kept


def _progress(name: str, done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\r{name}: {done}/{total}", end="", file=sys.stderr, flush=True)


def _merge(files: Iterable[Path], packages: Iterable[Package], out: Path, seed: int) -> None:
    """All packages' pages, sifted (held-out ones first: a copy of theirs may not stay in the training pages)."""
    sift = Deduplicator()
    listed = {package.name: package for package in packages}
    found = (page for file in files for page in read_pages(file))
    pages = [replace(page, split=listed[page.package].split, licence=listed[page.package].licence) for page in found]
    pages.sort(key=lambda page: page.split != "heldout")
    kept = [replace(page, id=_id(page)) for page in sift.sift(pages)]
    write_pages(out, shuffled(kept, seed))
    sizes: Counter[str] = Counter()
    for page in kept:
        for name in ("all", page.lang, f"{page.split} {page.lang}", *(["faq"] if page.faq else [])):
            sizes[name] += len(page.body.encode())
    print(
        f"{out}: {len(kept)} pages, " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.most_common())
    )
    print(f"left out as copies: {dict(sift.dropped)}")


def _id(page: Page) -> str:
    return hashlib.blake2b(f"{page.package}{page.path}".encode(), digest_size=6).hexdigest()


def write_pages(path: Path, pages: Iterable[Page]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    with lzma.open(draft, "wt", encoding="utf-8", preset=3) as file:
        for page in pages:
            file.write(json.dumps(page.record(), ensure_ascii=False) + "\n")
    draft.replace(path)


def read_pages(path: Path) -> Iterator[Page]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield Page(**json.loads(line))


if __name__ == "__main__":
    sys.exit(main())
