"""The votes on one pair of arms: counts, intervals, tests, slices and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from evals.report import stats
from evals.report.inputs import Battle
from evals.report.results import ByUser, Counts, EqualLength, Needed, Pair, Position, Share, Slice

SLICES = ("in_docs", "lang", "product", "topic")
"""Fields of a Battle by which a pair is looked at."""

MOST_TOPICS = 12
"""Values of one slice that are shown; those with the most votes."""

TELL = 0.6
"""The share of the decided votes that shall be told from one half."""

WIN, LOSS, TIE, BOTH_BAD = range(4)
"""What came of a vote for the first arm of its pair."""

ORDER = ("rag", "sft", "sft-rag", "base")


@lru_cache(256)
def pair_of(arms: tuple[str, str]) -> tuple[str, str]:
    """Both arms in the order in which the report names them."""
    first, second = sorted(arms, key=rank)
    return first, second


def rank(arm: str) -> tuple[int, str]:
    """Where an arm stands in a list of arms."""
    return (ORDER.index(arm) if arm in ORDER else len(ORDER), arm)


def compared(arms: tuple[str, str], battles: Sequence[Battle], min_votes: int = 1) -> Pair:
    """Everything about one pair. ``battles``: at least one, all of these two arms."""
    votes = Votes(arms[0], battles)
    counts = votes.counts()
    users = votes.by_user()
    needed = votes_needed(counts, users)
    return Pair(
        arms=arms,
        counts=counts,
        by_user=users,
        equal_length=votes.equal_length(),
        first_position=votes.first_position(),
        needed=needed,
        verdict=verdict(counts, users, needed),
        slices={name: votes.slices(name, min_votes) for name in SLICES},
    )


class Votes:
    """The votes on one pair as columns, from the side of ``first``: one of 50,000 rows at a time is too slow."""

    def __init__(self, first: str, battles: Sequence[Battle]) -> None:
        import numpy as np

        self.columns = dict(zip(Battle._fields, zip(*battles, strict=True), strict=True))
        self.left = np.array([arms[0] == first for arms in self.columns["arms"]])
        winner = np.array(self.columns["winner"])
        won = np.where(self.left, winner == "0", winner == "1")
        self.outcomes = np.select([won, winner == "tie", winner == "both_bad"], [WIN, TIE, BOTH_BAD], LOSS)
        self.users, _ = numbered(self.columns["user"])
        self.known = np.array([bool(user) for user in self.columns["user"]])
        self.points = np.array([1.0, 0.0, 0.5, np.nan])[self.outcomes]

    def counts(self) -> Counts:
        """Of all of them."""
        return counted(_tally(self.outcomes))

    def slices(self, name: str, min_votes: int) -> tuple[Slice, ...]:
        """By value of a field, the one with the most votes first. What is unknown is left out."""
        import numpy as np

        codes, known = numbered(self.columns[name])
        table = np.bincount(codes * 4 + self.outcomes, minlength=len(known) * 4).reshape(-1, 4)
        found = [(value, row) for value, row in zip(known, table, strict=True) if value and row.sum() >= min_votes]
        found.sort(key=lambda entry: (-entry[1].sum(), entry[0]))
        return tuple(Slice(value, counted(row)) for value, row in found[:MOST_TOPICS])

    def first_position(self) -> Position:
        """How often the left answer won, among the blind votes for one side."""
        import numpy as np

        decided = np.array(self.columns["blind"], dtype=bool) & (self.outcomes <= LOSS)
        left = int((decided & ((self.outcomes == WIN) == self.left)).sum())
        count = int(decided.sum())
        return Position(stats.share(left, count), stats.sign_test(left, count - left))

    def by_user(self) -> ByUser | None:
        """Of the votes whose voter is known; a deleted conversation takes that along."""
        known = self.known & (self.outcomes != BOTH_BAD)
        return stats.by_user(self.points[known], self.users[known]) if known.any() else None

    def equal_length(self) -> EqualLength | None:
        """Of the votes on answers whose lengths are known. Voters that are not known any more are nobody in common."""
        import numpy as np

        left, right = (
            np.array(sizes, dtype=float) for sizes in (self.columns["left_chars"], self.columns["right_chars"])
        )
        known = (left > 0) & (right > 0) & (self.outcomes != BOTH_BAD)
        ratio = np.log(left[known] / right[known])
        users = np.where(self.known, self.users, len(self.users) + np.arange(len(self.users)))
        return stats.equal_length(self.points[known], np.where(self.left[known], ratio, -ratio), users[known])


def _tally(outcomes: Any) -> Any:
    import numpy as np

    return np.bincount(outcomes, minlength=4)


def counted(tally: Any) -> Counts:
    """``tally``: four numbers, by outcome. A tie counts half; two bad answers say nothing about which is better."""
    wins, losses, ties, both_bad = (int(count) for count in tally)
    rate = stats.share(wins + ties / 2, wins + losses + ties)
    return Counts(wins + losses + ties + both_bad, wins, losses, ties, both_bad, rate, stats.sign_test(wins, losses))


def votes_needed(counts: Counts, users: ByUser | None) -> Needed:
    """With votes of the same people counting for less: Kish's design effect, the variance over people by that over
    votes."""
    effect = 1.0
    rated = counts.wins + counts.losses + counts.ties
    if users and rated:
        mean = (counts.wins + counts.ties / 2) / rated
        spread = (counts.wins + counts.ties / 4) / rated - mean**2
        effect = max(1.0, users.variance * users.of / spread) if spread > 1e-12 else 1.0
    decided = max(1, counts.wins + counts.losses)  # none yet: as if one were
    total = math.ceil(stats.votes_needed(TELL) * effect * counts.votes / decided)
    return Needed(total, max(0, total - counts.votes), effect)


def verdict(counts: Counts, users: ByUser | None, needed: Needed) -> str:
    """Preferred only where both intervals leave out one half and the exact test agrees: Wilson's alone would have four
    votes of four prove something, which chance does in one case of eight."""
    low, high = verdict_interval(counts.win_rate, users)
    clear = counts.p < 1 - stats.LEVEL
    if clear and low > 0.5:
        return "first"
    if clear and high < 0.5:
        return "second"
    return "open" if needed.more else "even"


def verdict_interval(rate: Share, users: ByUser | None) -> tuple[float, float]:
    """The wider ends of both intervals: of the votes, and of the people."""
    return (min(rate.low, users.low), max(rate.high, users.high)) if users else (rate.low, rate.high)


def holm(pairs: Sequence[Pair]) -> tuple[tuple[Pair, ...], int]:
    """Each slice with its p value adjusted for all slices and pairs of the report; how many there are."""
    slices = [part for pair in pairs for parts in pair.slices.values() for part in parts]
    values = [pair.counts.p for pair in pairs] + [part.counts.p for part in slices]
    told = iter(stats.adjusted(values)[len(pairs) :])
    done = [
        replace(
            pair,
            slices={
                name: tuple(replace(part, p_holm=next(told)) for part in parts) for name, parts in pair.slices.items()
            },
        )
        for pair in pairs
    ]
    return tuple(done), len(values)


def numbered(names: Sequence[str]) -> tuple[Any, list[str]]:
    """A number for each name (numpy array), and the names by number."""
    import numpy as np
    import pandas as pd

    codes, known = pd.factorize(np.array(names, dtype=object))
    return codes, list(known)
