"""Which products, versions and languages an index holds, and whether a filter finds any of its pages. Pure.

check(retriever.labels, Filters(version="3"))
-> UnknownLabelError: no page has version '3'; there are: 2.1, 2.0, 1.0
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from data.errors import UnknownLabelError
from data.types import ANY, Filters

NAMES = ("product", "version", "lang")
SHOWN = 20
"""Values that a message lists."""


@dataclass(frozen=True)
class LabelCount:
    """How many pages have exactly these labels; "" where a page has none."""

    product: str
    version: str
    lang: str
    pages: int

    def matches(self, filters: Filters) -> bool:
        """Whether these pages pass ``filters``."""
        return all(getattr(filters, name) in ("", getattr(self, name)) for name in NAMES)


def values(known: Sequence[LabelCount], name: str, filters: Filters = ANY) -> list[str]:
    """What ``name`` can be on pages that ``filters`` keep: versions from new to old, the rest by the alphabet."""
    found = {getattr(entry, name) for entry in known if entry.matches(filters)} - {""}
    return sorted(sorted(found), key=_newest_first) if name == "version" else sorted(found)


def check(known: Sequence[LabelCount], filters: Filters) -> None:
    """Raises UnknownLabelError, which lists what there is, when no page passes ``filters``."""
    if not filters or any(entry.matches(filters) for entry in known):
        return
    given = {name: getattr(filters, name) for name in NAMES if getattr(filters, name)}
    for name, value in given.items():
        if not any(getattr(entry, name) == value for entry in known):
            raise UnknownLabelError(f"no page has {name} {value!r}; {_listed(values(known, name))}", name)
    *others, last = given
    rest = Filters(**{name: given[name] for name in others})
    together = " and ".join(f"{name} {value!r}" for name, value in given.items())
    said = f"{last} can be: {', '.join(values(known, last, rest)[:SHOWN])}" if values(known, last, rest) else "drop one"
    with_rest = " and ".join(f"{name} {given[name]!r}" for name in others)
    raise UnknownLabelError(f"no page has {together}; with {with_rest}, {said}", last)


def _listed(found: list[str]) -> str:
    if not found:
        return "no page has such a label: see [[data.labels]] in docduet.toml"
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"there are: {', '.join(found[:SHOWN])}{more}"


def _newest_first(version: str) -> tuple[bool, list[int]]:
    """Words such as latest come first, then the highest number."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    return bool(numbers), [-number for number in numbers]
