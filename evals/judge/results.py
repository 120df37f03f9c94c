"""What a judge said of a run: files DOCDUET_HOME/evals/judged/*.json, and what they come to.

The measures of single answers also stand in the run's own file (``judge``, ``facts_recalled``, ``missing``), where the
report and the scorecard read them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from evals.report.results import Share
from evals.report.stats import share, sign_test
from evals.runs import write_whole

FOLDER = "judged"
Winner = Literal["0", "1", "tie", ""]
"""Which of two answers is better; "" where the verdict could not be had."""


class AnswerVerdict(BaseModel):
    """One answer. ``supported``: by sentence, whether the pages say it; ``stated``: fact -> whether the answer does.

    ``problem``: why there is no verdict: "unparsable", "failed", or "".
    """

    model_config = ConfigDict(frozen=True)

    id: str
    arm: str
    sentences: tuple[str, ...] = ()
    supported: tuple[bool, ...] = ()
    stated: dict[str, bool] = {}
    problem: str = ""

    @property
    def share(self) -> float | None:
        """Of its sentences, those that the pages say."""
        return sum(self.supported) / len(self.supported) if self.supported else None


class PairVerdict(BaseModel):
    """Two answers in both orders. ``orders``: the winner, as an index of ``arms``, with the first arm shown first, then
    with the second arm shown first. ``same``: both say the same, nobody was asked."""

    model_config = ConfigDict(frozen=True)

    id: str
    arms: tuple[str, str]
    orders: tuple[Winner, Winner]
    reasons: tuple[str, ...] = ()
    same: bool = False
    problem: str = ""

    @property
    def winner(self) -> Winner:
        """Both orders must agree: anything else is a tie (as in MT-Bench, arXiv 2306.05685, section 3.4)."""
        if "" in self.orders:
            return ""
        return self.orders[0] if self.orders[0] == self.orders[1] else "tie"

    @property
    def flipped(self) -> Literal["", "first", "second"]:
        """Where the answer that is shown first (or second) won both times."""
        if self.orders == ("0", "1"):
            return "first"
        return "second" if self.orders == ("1", "0") else ""


@dataclass(frozen=True)
class Pairs:
    """All verdicts on two arms. A tie counts half in ``win_rate``, of the first arm. ``flipped``: verdicts that
    followed the order, of those that were asked for and came; towards the answer shown ``first``, or ``second``."""

    arms: tuple[str, str]
    wins: int
    losses: int
    ties: int
    unread: int
    win_rate: Share
    p: float
    flipped: Share
    first: int
    second: int

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return {
            **{name: getattr(self, name) for name in ("arms", "wins", "losses", "ties", "unread", "p")},
            "win_rate": vars(self.win_rate),
            "position_bias": {"flipped": vars(self.flipped), "first": self.first, "second": self.second},
        }


class Judged(BaseModel):
    """``run``: the run's file. ``unparsable``: replies that could not be read; ``failed``: calls that failed."""

    model_config = ConfigDict(frozen=True)

    object: Literal["eval_judged"] = "eval_judged"
    run: str
    set: str
    label: str
    judge: str
    url: str
    judged_at: str
    arms: tuple[str, ...]
    answers: tuple[AnswerVerdict, ...] = ()
    pairs: tuple[PairVerdict, ...] = ()

    def count(self, problem: str) -> int:
        """Verdicts that are missing for this reason."""
        return sum(one.problem == problem for one in self.answers) + sum(one.problem == problem for one in self.pairs)


def by_pair(verdicts: Sequence[PairVerdict]) -> list[Pairs]:
    """The verdicts counted, by pair of arms in the order in which they come."""
    arms = dict.fromkeys(verdict.arms for verdict in verdicts)
    return [_counted(pair, [verdict for verdict in verdicts if verdict.arms == pair]) for pair in arms]


def _counted(arms: tuple[str, str], verdicts: Sequence[PairVerdict]) -> Pairs:
    winners = [verdict.winner for verdict in verdicts]
    wins, losses, ties = (winners.count(winner) for winner in ("0", "1", "tie"))
    asked = sum(not verdict.same and bool(verdict.winner) for verdict in verdicts)
    first, second = (sum(verdict.flipped == side for verdict in verdicts) for side in ("first", "second"))
    return Pairs(
        arms=arms,
        wins=wins,
        losses=losses,
        ties=ties,
        unread=winners.count(""),
        win_rate=share(wins + ties / 2, wins + losses + ties),
        p=sign_test(wins, losses),
        flipped=share(first + second, asked),
        first=first,
        second=second,
    )


def write_judged(folder: Path, judged: Judged) -> Path:
    """Beside the runs, in the place of what the same judge said of the same arms of the same run. Raises OSError."""
    parts = (Path(judged.run).stem, judged.judge.rsplit("/", 1)[-1], "+".join(judged.arms))
    name = "--".join(re.sub(r"[^\w.+-]+", "-", part)[:80] for part in parts)
    path = folder / FOLDER / f"{name}.json"
    write_whole(path, judged.model_dump_json(indent=1))
    return path
