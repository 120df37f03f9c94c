"""A dataset as it was built, and what of it no longer holds: its page has changed or gone, or its file was corrected.

`docduet sft build --diff OLD` keeps what holds, word for word and on the same side of the split, and writes anew for
the pages that changed or came. Only `--val-share 0` moves samples: those of validation are learned from then
on. A refusal ("not in the docs") goes when the new text names what it was asked about.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from data.types import Page
from rag.lexical import tokenize
from sft.output import BUILD, MARK
from sft.rules.text import has_han
from sft.split import Sides, keys
from sft.types import Sample

MOSTLY = 0.7
"""Of the words of a question that nothing answered (of four letters, of two Chinese characters): then a page may."""


@dataclass(frozen=True)
class Previous:
    """``sides[n]``: where ``samples[n]`` lies, "train" or "val". ``pages``: url -> content hash of every page it was
    built from. ``taken``: shape -> which part of the samples at hand it took. ``val_share``: what was to be set aside
    for validation, None where that was not written down."""

    folder: Path
    samples: tuple[Sample, ...]
    sides: tuple[str, ...]
    pages: Mapping[str, str]
    taken: Mapping[str, float]
    mixture: str
    val_share: float | None = None

    @cached_property
    def pins(self) -> Sides:
        """Where pages and families lie, those of samples that no longer hold included."""
        return {key: side for one, side in zip(self.samples, self.sides, strict=True) for key in keys(one)}  # type: ignore[misc]


@dataclass(frozen=True)
class Diff:
    """``why[n]``: what is wrong with sample n, "" when it holds. ``changes``: url -> changed, gone or new."""

    previous: Previous
    why: tuple[str, ...]
    changes: Mapping[str, str]

    @property
    def kept(self) -> tuple[Sample, ...]:
        return tuple(one for one, why in zip(self.previous.samples, self.why, strict=True) if not why)

    def from_validation(self, samples: Sequence[Sample]) -> int:
        """How many of ``samples`` lay in validation."""
        there = {one.id for one, side in zip(self.previous.samples, self.previous.sides, strict=True) if side == "val"}
        return sum(one.id in there for one in samples)

    @property
    def pages(self) -> frozenset[str]:
        """Pages that samples are to be written for."""
        return frozenset(url for url, change in self.changes.items() if change != "gone")

    def pages_after(self, built_from: Sequence[Page]) -> dict[str, str]:
        """Url -> content hash once it is brought up to date from these pages; pages left out stay as they were."""
        gone = {url for url, change in self.changes.items() if change == "gone"}
        before = {url: hash_ for url, hash_ in self.previous.pages.items() if url not in gone}
        return before | {page.url: page.content_hash for page in built_from}

    @property
    def counts(self) -> dict[str, int]:
        """Page -> how many samples no longer hold."""
        dropped = (one for one, why in zip(self.previous.samples, self.why, strict=True) if why)
        return dict(Counter(url for one in dropped for url in one.pages))

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        counts = self.counts
        listed = zip(self.previous.samples, self.previous.sides, self.why, strict=True)
        return {
            "old": str(self.previous.folder),
            "pages": [
                {"url": url, "change": change, "samples": counts.get(url, 0)}
                for url, change in sorted(self.changes.items())
            ],
            "samples": [
                {
                    "id": one.id,
                    "split": side,
                    "shape": one.shape,
                    "pages": list(one.pages),
                    "question": one.questions[0],
                    "why": why,
                }
                for one, side, why in listed
                if why
            ],
            "kept": len(self.kept),
        }


def compare(previous: Previous, pages: Sequence[Page], anew: Mapping[str, frozenset[str]]) -> Diff:
    """What of ``previous`` holds for ``pages`` (all there are). ``anew``: generator -> ids of the samples of a file
    that is imported again; what it no longer says goes."""
    now = {page.url: page.content_hash for page in pages}
    changes = {
        url: "gone" if url not in now else "changed" for url, hash_ in previous.pages.items() if now.get(url) != hash_
    }
    changes |= {url: "new" for url in now if url not in previous.pages}
    said = [f"{page.title}\n{page.body}".lower() for page in pages if page.url in changes]
    return Diff(previous, tuple(_why(one, changes, said, anew) for one in previous.samples), changes)


def _why(sample: Sample, changes: Mapping[str, str], said: Sequence[str], anew: Mapping[str, frozenset[str]]) -> str:
    for change in ("gone", "changed"):
        if any(changes.get(url) == change for url in sample.pages):
            return f"page {change}"
    if sample.generator in anew and sample.id not in anew[sample.generator]:
        return "no longer in its file"
    if sample.shape == "unanswerable" and any(_may_answer(page, sample) for page in said):
        return "may be answered now"
    return ""


def _may_answer(page: str, sample: Sample) -> bool:
    """Whether ``page`` (in lower case) holds a name that was asked about, or most words of a question without one."""
    names = _asked_for(sample)
    if names:
        return any(name.lower() in page for name in names)
    asked = {word for word in tokenize(sample.questions[0]) if len(word) > (1 if has_han(word) else 3)}
    return sum(word in page for word in asked) > MOSTLY * len(asked)


def _asked_for(sample: Sample) -> list[str]:
    """The names that a question without an answer asks about."""
    kind, _, name = sample.family.partition(":")
    return [*re.findall(r"`([^`\n]+)`", sample.questions[0]), *([name] if kind == "tech" else [])]


def read_previous(folder: Path) -> Previous:
    """The dataset in ``folder``. Raises ConfigError when there is none, or its files do not fit together."""
    folder = folder.expanduser()
    if not (folder / MARK).is_file():
        raise ConfigError(f"{folder} is no dataset: --diff takes a folder that docduet sft build wrote")
    try:
        conversations = {name: _lines(folder / f"{name}.jsonl") for name in ("train", "val")}
        rows = _lines(folder / MARK)
        samples = tuple(_sample(row, conversations[row["split"]][row["line"] - 1]) for row in rows)
        made = json.loads((folder / BUILD).read_text(encoding="utf-8")) if (folder / BUILD).is_file() else {}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ConfigError(
            f"{folder} is damaged ({type(error).__name__}: {error}): build it anew, without --diff"
        ) from None
    if any(one.id != row["id"] for one, row in zip(samples, rows, strict=True)):
        raise ConfigError(f"{folder}: its files were changed after they were built: build it anew, without --diff")
    known = {url: hash_ for one in samples for url, hash_ in zip(one.pages, one.page_hashes, strict=True)}
    return Previous(
        folder,
        samples,
        tuple(row["split"] for row in rows),
        {**known, **made.get("pages", {})},
        made.get("taken", {}),
        made.get("mixture", ""),
        made.get("val_share"),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _sample(row: Mapping[str, Any], conversation: Mapping[str, Any]) -> Sample:
    return Sample(
        messages=tuple(conversation["messages"]),
        shape=row["shape"],
        lang=row["lang"],
        pages=tuple(page["url"] for page in row["pages"]),
        page_hashes=tuple(page["hash"] for page in row["pages"]),
        generator=row["generator"],
        family=row["family"],
        support="",
        thinks=conversation["messages"][-1]["content"].startswith("<think>"),
    )
