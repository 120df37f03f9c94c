"""What `docduet eval judge` prints."""

from __future__ import annotations

from pathlib import Path

from evals.judge.results import Judged, Pairs, by_pair
from evals.report.results import Share
from evals.report.stats import mean_interval


def figures(judged: Judged) -> dict[str, Share]:
    """Arm -> mean share of sentences that the judge finds in the pages, with its bootstrap interval."""
    return {
        arm: mean_interval([one.share for one in judged.answers if one.arm == arm and one.share is not None])
        for arm in judged.arms
    }


def as_dict(judged: Judged, path: Path) -> dict[str, object]:
    """For --json."""
    return {
        "judge": judged.judge,
        "arms": {arm: vars(share) for arm, share in figures(judged).items()},
        "pairs": [pair.as_dict() for pair in by_pair(judged.pairs)],
        "unparsable": judged.count("unparsable"),
        "failed": judged.count("failed"),
        "file": str(path),
    }


def print_judged(judged: Judged, path: Path) -> None:
    """Two tables, and what could not be read."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    single = Table("", *judged.arms, title=f"{judged.label}, judged by {judged.judge}", title_justify="left")
    single.add_row("supported by the pages", *(_share(share) for share in figures(judged).values()))
    console.print(single)
    pairs = by_pair(judged.pairs)
    if pairs:
        table = Table("", "won", "lost", "ties", "win rate", "p", "followed the order")
        for pair in pairs:
            table.add_row(*_row(pair))
        console.print(table)
    for problem, words in (("unparsable", "could not be read"), ("failed", "failed")):
        if judged.count(problem):
            console.print(f"{judged.count(problem)} verdicts {words}: they count nowhere.", style="yellow")
    console.print(f"Saved to {path}", markup=False, soft_wrap=True)


def _row(pair: Pairs) -> list[str]:
    counts = [str(count) for count in (pair.wins, pair.losses, pair.ties)]
    bias = f"{_share(pair.flipped)}: {pair.first} for the first, {pair.second} for the second"
    return [" : ".join(pair.arms), *counts, _share(pair.win_rate), f"{pair.p:.3f}", bias]


def _share(found: Share) -> str:
    return "–" if found.value is None else f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"
