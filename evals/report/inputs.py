"""What a report is made of: votes with what is known about their answers, and answers. No words of anybody in it.

Named tuples and columns, since a report is made of a hundred thousand of them while somebody waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple


class Battle(NamedTuple):
    """A vote on two answers. What is unknown (an answer that was deleted takes it along) is "" or 0.

    ``arms``: left and right. ``winner``: "0" (left), "1", "tie" or "both_bad". ``user``: who voted, under any name.
    ``left_chars``, ``right_chars``: lengths of both answers. ``lang``: of the question. ``topic``: title of the page
    that was cited first. ``product``: asked for, or of that page. ``in_docs``: "yes" or "no": whether the voice that
    reads the docs answered or refused. ``favoured``: the arm that the router believed in more, where both answered.
    """

    arms: tuple[str, str]
    winner: str
    blind: bool = False
    user: str = ""
    left_chars: int = 0
    right_chars: int = 0
    lang: str = ""
    topic: str = ""
    product: str = ""
    in_docs: str = ""
    favoured: str = ""


@dataclass(frozen=True)
class Battles:
    """Votes as columns, all of one length: what a Battle has, of each of them. Making 50,000 rows takes 0.2 s."""

    arms: Sequence[tuple[str, str]] = ()
    winner: Sequence[str] = ()
    blind: Sequence[bool | int] = ()
    user: Sequence[str] = ()
    left_chars: Sequence[int] = ()
    right_chars: Sequence[int] = ()
    lang: Sequence[str] = ()
    topic: Sequence[str] = ()
    product: Sequence[str] = ()
    in_docs: Sequence[str] = ()
    favoured: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.arms)

    def __iter__(self) -> Iterator[Battle]:
        columns: list[Sequence[Any]] = [getattr(self, field.name) for field in fields(self)]
        return (Battle(*row) for row in zip(*columns, strict=True))


def columns(votes: Sequence[Battle]) -> Battles:
    """``votes`` as columns."""
    return Battles(*zip(*votes, strict=True)) if votes else Battles()


class Said(NamedTuple):
    """One arm's answer, of those that are looked at closely: the newest.

    ``length``: characters. ``first_ms``, ``total_ms``: to the first word, and to the end. ``tokens``: written.
    ``citations``, ``unsupported``: markers, and sentences whose source does not say so. None: not known.
    """

    arm: str
    refused: bool = False
    length: int = 0
    first_ms: float | None = None
    total_ms: float | None = None
    tokens: int | None = None
    citations: int = 0
    unsupported: int | None = 0


class Tally(NamedTuple):
    """All answers of an arm, counted. ``told``: without sides of blind comparisons that await their vote; ``refused``,
    ``degraded`` and ``failed`` are among those, and so are the thumbs."""

    arm: str
    answers: int = 0
    told: int = 0
    refused: int = 0
    degraded: int = 0
    failed: int = 0
    up: int = 0
    down: int = 0


@dataclass(frozen=True)
class Filters:
    """What the report is about; "", 0 and (): all of it. ``since``: Unix seconds. ``arms``: pairs within these arms."""

    since: float = 0.0
    lang: str = ""
    product: str = ""
    arms: tuple[str, ...] = ()
    min_votes: int = 1


@dataclass(frozen=True)
class Inputs:
    """``said``: whole answers only."""

    battles: Battles = Battles()
    tallies: Sequence[Tally] = ()
    said: Sequence[Said] = ()
    filters: Filters = Filters()
