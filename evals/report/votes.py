"""Votes as columns of numbers, and what is counted in them. Pure.

    for pair, votes in Columns(battles).by_pair().items():
        votes.counts(), votes.slices("topic", min_votes=1)

Every text becomes a number once, for all votes; what follows is numpy's: one of 50,000 rows at a time is too slow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from evals.report import stats
from evals.report.inputs import Battles
from evals.report.results import ByUser, Counts, EqualLength, Position, Slice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

T = TypeVar("T", bound=Hashable)

SLICES = ("in_docs", "lang", "product", "topic")
"""Fields of a Battle by which a pair is looked at."""

MOST_TOPICS = 12
"""Values of one slice that are shown; those with the most votes."""

WIN, LOSS, TIE, BOTH_BAD = range(4)
"""What came of a vote for the first arm of its pair."""

ORDER = ("rag", "sft", "sft-rag", "base")


def pair_of(arms: tuple[str, str]) -> tuple[str, str]:
    """Both arms in the order in which the report names them."""
    first, second = sorted(arms, key=rank)
    return first, second


def rank(arm: str) -> tuple[int, str]:
    """Where an arm stands in a list of arms."""
    return (ORDER.index(arm) if arm in ORDER else len(ORDER), arm)


class Columns:
    """All votes. ``codes[name][row]`` is the number of a value, ``known[name]`` the values by number."""

    def __init__(self, battles: Battles) -> None:
        import numpy as np

        self.codes: dict[str, Any] = {}
        self.known: dict[str, list[Any]] = {}
        for name in ("arms", "winner", "user", "favoured", *SLICES):
            self.codes[name], self.known[name] = numbered(getattr(battles, name))
        self.blind = np.array(battles.blind, dtype=bool)
        self.chars = [np.array(sizes, dtype=float) for sizes in (battles.left_chars, battles.right_chars)]

    def by_pair(self, wanted: Collection[str] = ()) -> dict[tuple[str, str], Votes]:
        """The votes on each pair of arms. ``wanted``: only pairs within these; all of them where empty."""
        found: dict[tuple[str, str], list[int]] = {}
        for code, arms in enumerate(self.known["arms"]):
            if not wanted or set(arms) <= set(wanted):
                found.setdefault(pair_of(arms), []).append(code)
        return {pair: Votes(self, pair[0], self._rows(codes)) for pair, codes in found.items()}

    def _rows(self, arms: Sequence[int]) -> Any:
        import numpy as np

        return np.flatnonzero(np.isin(self.codes["arms"], arms))

    def table(self, rows: Any, *names: str) -> list[tuple[tuple[Any, ...], int]]:
        """How often each combination of values stands in ``rows``."""
        import numpy as np

        flat, sizes = np.zeros(len(rows), dtype=np.int64), [len(self.known[name]) for name in names]
        for name, size in zip(names, sizes, strict=True):
            flat = flat * size + self.codes[name][rows]
        values, counts = np.unique(flat, return_counts=True)
        codes = np.unravel_index(values, sizes) if len(values) else ()
        told = [[self.known[name][code] for code in column] for name, column in zip(names, codes, strict=False)]
        return list(zip(zip(*told, strict=True), counts.tolist(), strict=True))


class Votes:
    """The votes on one pair, from the side of its ``first`` arm."""

    def __init__(self, columns: Columns, first: str, rows: Any) -> None:
        import numpy as np

        self.columns, self.rows = columns, rows
        self.left = _is(columns, "arms", [arms[0] == first for arms in columns.known["arms"]])[rows]
        none = np.zeros(len(rows), dtype=bool)
        winner = dict.fromkeys(("0", "1", "tie", "both_bad"), none)
        winner |= {name: columns.codes["winner"][rows] == n for n, name in enumerate(columns.known["winner"])}
        won = np.where(self.left, winner["0"], winner["1"])
        self.outcomes = np.select([won, winner["tie"], winner["both_bad"]], [WIN, TIE, BOTH_BAD], LOSS)
        self.points = np.array([1.0, 0.0, 0.5, np.nan])[self.outcomes]
        self.users = columns.codes["user"][rows]
        self.known = _is(columns, "user", [bool(user) for user in columns.known["user"]])[rows]

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self) -> Counts:
        """Of all of them."""
        import numpy as np

        return counted(np.bincount(self.outcomes, minlength=4))

    def slices(self, name: str, min_votes: int) -> tuple[Slice, ...]:
        """By value of a field, the one with the most votes first. What is unknown is left out."""
        import numpy as np

        codes, known = self.columns.codes[name][self.rows], self.columns.known[name]
        table = np.bincount(codes * 4 + self.outcomes, minlength=len(known) * 4).reshape(-1, 4)
        found = [(value, row) for value, row in zip(known, table, strict=True) if value and row.sum() >= min_votes]
        found.sort(key=lambda entry: (-entry[1].sum(), entry[0]))
        return tuple(Slice(value, counted(row)) for value, row in found[:MOST_TOPICS] if row.sum())

    def first_position(self) -> Position:
        """How often the left answer won, among the blind votes for one side."""
        decided = self.columns.blind[self.rows] & (self.outcomes <= LOSS)
        left = int((decided & ((self.outcomes == WIN) == self.left)).sum())
        of = int(decided.sum())
        return Position(stats.share(left, of), stats.sign_test(left, of - left))

    def by_user(self) -> ByUser | None:
        """Of the votes whose voter is known; a deleted conversation takes that along."""
        known = self.known & (self.outcomes != BOTH_BAD)
        return stats.by_user(self.points[known], self.users[known]) if known.any() else None

    def equal_length(self) -> EqualLength | None:
        """Of the votes on answers whose lengths are known. Voters that are not known any more are nobody in common."""
        import numpy as np

        left, right = (sizes[self.rows] for sizes in self.columns.chars)
        known = (left > 0) & (right > 0) & (self.outcomes != BOTH_BAD)
        ratio = np.log(left[known] / right[known])
        users = np.where(self.known, self.users, len(self.columns.known["user"]) + np.arange(len(self.users)))
        return stats.equal_length(self.points[known], np.where(self.left[known], ratio, -ratio), users[known])


def counted(tally: Any) -> Counts:
    """``tally``: four numbers, by outcome. A tie counts half; two bad answers say nothing about which is better."""
    wins, losses, ties, both_bad = (int(count) for count in tally)
    rate = stats.share(wins + ties / 2, wins + losses + ties)
    return Counts(wins + losses + ties + both_bad, wins, losses, ties, both_bad, rate, stats.sign_test(wins, losses))


def _is(columns: Columns, name: str, values: Sequence[bool]) -> Any:
    """For each row, what ``values`` says of its value."""
    import numpy as np

    return np.array(values, dtype=bool)[columns.codes[name]]


def numbered(values: Sequence[T]) -> tuple[Numbers, list[T]]:
    """A number for each value, and the values by number."""
    import numpy as np

    known: defaultdict[T, int] = defaultdict(count().__next__)
    codes = np.fromiter(map(known.__getitem__, values), np.int64, len(values))
    return codes, list(known)
