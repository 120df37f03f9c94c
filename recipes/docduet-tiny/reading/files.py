"""Pages in, slices out; rows into xz parts. Concatenated xz streams are one xz file, so slices are just put together."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from data.types import Page
from reading.parts import Slice

T = TypeVar("T")
SLICE_BYTES = 600_000
FEWEST = 300
"""Tasks of a slice at least, as long as there are slices to choose from."""

PART_BYTES = 24_000_000
_PRODUCT = re.compile(
    r"-?(?:docs?|doc-html|html|manual|guide|common|help)?(?:-(?:\d[\d.]*|en|zh|us|cn|html|doc|man))*$"
)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON lines file, xz or plain."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def slices(path: Path, wanted: dict[tuple[str, str], int], largest: int) -> list[Slice]:
    """Pages by package, language and split, in slices of SLICE_BYTES.

    ``wanted``: (language, split) -> tasks, shared out by the slices' sizes; ``largest``: bytes taken of one package in
    one language at most (all slices evenly, not its first pages).
    """
    groups: dict[tuple[str, str, str], list[tuple[Page, bool]]] = defaultdict(list)
    for row in read_rows(path):
        if row["lang"] in ("en", "zh") and row["body"].strip():
            key = (row["package"], row["lang"], row["split"])
            groups[key].append((page_of_row(row, len(groups[key])), bool(row.get("faq"))))
    found: list[Slice] = []
    for (package, lang, split), pages in sorted(groups.items()):
        cut = [
            Slice(
                f"{package}-{lang}-{at}",
                0,
                lang,
                split,
                tuple(page for page, _ in some),
                frozenset(n for n, (_, faq) in enumerate(some) if faq),
            )
            for at, some in enumerate(runs(pages, lambda page: page[0].body))
        ]
        share = min(1.0, largest / max(1, sum(one.size for one in cut)))
        kept = [
            one for at, one in enumerate(cut) if int((at + 1) * share) > int(at * share) or one.faq or len(cut) == 1
        ]
        found += kept
    found = _enough(found, wanted)
    sizes = {key: sum(one.size for one in found if (one.lang, one.split) == key) for key in wanted}
    return [
        replace(
            one,
            number=number,
            wanted=max(1, round(wanted.get((one.lang, one.split), 0) * one.size / sizes[one.lang, one.split])),
        )
        for number, one in enumerate(found)
        if sizes.get((one.lang, one.split))
    ]


def _enough(found: Sequence[Slice], wanted: dict[tuple[str, str], int]) -> list[Slice]:
    """As many slices as get FEWEST tasks each, evenly: reading a slice costs more than making its tasks."""
    kept = []
    for key, count in wanted.items():
        some = [one for one in found if (one.lang, one.split) == key]
        step = max(1.0, len(some) * FEWEST / max(1, count))
        kept += [one for at, one in enumerate(some) if int((at + 1) / step) > int(at / step)] or some[:1]
    return kept


def page_of_row(row: dict[str, Any], number: int) -> Page:
    """A row of the corpus as a page of a product's docs."""
    product = _PRODUCT.sub("", row["package"])
    return Page(f"{product}/{number}.md", row["title"], row["body"], row["lang"])


def runs(items: Iterable[T], body: Callable[[T], str]) -> Iterator[list[T]]:
    """``items`` in their order, as many together as make a slice. ``body``: the text of one."""
    run: list[T] = []
    size = 0
    for one in items:
        here = len(body(one).encode())
        if run and size + here > SLICE_BYTES:
            yield run
            run, size = [], 0
        run.append(one)
        size += here
    if run:
        yield run


def packed(rows: Iterable[dict[str, Any]]) -> bytes:
    """Rows as one xz stream of JSON lines; no rows: nothing."""
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    return lzma.compress(text.encode(), preset=6) if text else b""


def join(pieces: Sequence[Path], folder: Path, stem: str) -> list[Path]:
    """The streams in parts of at most PART_BYTES each: ``stem``-01.jsonl.xz and on. Old parts go."""
    for old in folder.glob(f"{stem}-[0-9][0-9].jsonl.xz"):
        old.unlink()
    parts: list[Path] = []
    size = PART_BYTES + 1
    for piece in pieces:
        data = piece.read_bytes()
        if not data:
            continue
        if size + len(data) > PART_BYTES:
            parts.append(folder / f"{stem}-{len(parts) + 1:02}.jsonl.xz")
            size = 0
        with parts[-1].open("ab") as file:
            file.write(data)
        size += len(data)
    return parts


def checksums(folder: Path) -> None:
    """SHA256SUMS of all parts."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.glob("*.xz"))]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")
