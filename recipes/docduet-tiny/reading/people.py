"""Questions in people's words over the corpus (asked.jsonl.xz) -> drafts, page by page.

A line is one thing that a page says, and how people ask for it: {"package", "path", "lang", "start", "end": where in the
page's body it stands, "sum": of these characters, "questions": [as different people ask who have not read the page]}.
The questions were written for this model over excerpts of the corpus; none of the handbook is among them. What rules ask
(drafts.py) shares its words with the page, and a model that has met nothing else does not find what people ask for in
theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.types import Page
from reading.files import page_of_row, read_rows, runs
from reading.parts import Draft, Piece, Slice
from sft.rules.text import clean

KIND = "people"
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")


@dataclass(frozen=True)
class Asked:
    """What stands in a page's body at [start, end), with its ``sum``, and how people ask for it."""

    package: str
    path: str
    lang: str
    start: int
    end: int
    sum: str
    questions: tuple[str, ...]

    def stands_in(self, body: str) -> bool:
        """Whether it is there word for word; another version of the package may say it otherwise."""
        return sum_of(body[self.start : self.end]) == self.sum


def sum_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def read_asked(path: Path) -> list[Asked]:
    """Raises TypeError for a line that lacks something."""
    return [Asked(**{**row, "questions": tuple(row["questions"])}) for row in read_rows(path)]


def shelves(pages: Path, asked: Sequence[Asked], first: int, times: int) -> Iterator[tuple[Slice, list[Draft]]]:
    """Slices of all pages that are asked about with their neighbours, numbered from ``first``, and their drafts, each of
    which is to make ``times`` tasks."""
    wanted: dict[tuple[str, str, str], list[Asked]] = defaultdict(list)
    for one in asked:
        wanted[one.package, one.lang, one.path].append(one)
    packages = {(package, lang) for package, lang, _ in wanted}
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in read_rows(pages):
        if (row["package"], row["lang"]) in packages and row["body"].strip():
            groups[row["package"], row["lang"], row["split"]].append(row)
    for (package, lang, split), rows in sorted(groups.items()):
        asked_first = sorted(rows, key=lambda row: (package, lang, row["path"]) not in wanted)  # with what follows them
        for at, run in enumerate(runs(asked_first, lambda row: str(row["body"]))):
            own = tuple(page_of_row(row, number) for number, row in enumerate(run))
            found = list(_drafts(run, own, wanted))
            if found:
                yield Slice(f"{package}-{lang}-people-{at}", first, lang, split, own, wanted=len(found) * times), found
                first += 1


def _drafts(
    run: Sequence[dict[str, Any]], pages: Sequence[Page], wanted: Mapping[tuple[str, str, str], Sequence[Asked]]
) -> Iterator[Draft]:
    for number, (row, page) in enumerate(zip(run, pages, strict=True)):
        for one in wanted.get((row["package"], row["lang"], row["path"]), ()):
            if one.stands_in(page.body):
                piece = Piece(said(page.body[one.start : one.end]), number, one.start, one.end)
                yield from (Draft(KIND, question, (piece,)) for question in one.questions)


def said(answer: str) -> str:
    """As an answer says it: on one line where it is one paragraph or one item of a list."""
    text = clean(answer.strip("\n"))
    items = _ITEM.match(text) and len(re.findall(rf"(?m)^{_ITEM.pattern}", text)) == 1 and "\n\n" not in text
    text = _ITEM.sub("", text, count=1) if items else text
    structured = re.search(r"(?m)^\s*(?:[-*+|>]|\d+[.)]|```|~~~)", text) or "\n\n" in text
    return text if structured else " ".join(text.split())
