"""The votes on one pair of arms: counts, intervals, tests, slices and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from evals.report import stats
from evals.report.results import ByUser, Counts, Needed, Pair, Share
from evals.report.votes import SLICES, Votes

TELL = 0.6
"""The share of the decided votes that shall be told from one half."""


def compared(arms: tuple[str, str], votes: Votes, min_votes: int = 1) -> Pair:
    """Everything about one pair. ``votes``: at least one, from the side of its first arm."""
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
