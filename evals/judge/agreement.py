"""How often a judge votes as people did: the same two answers, without markers and names, in both orders.

As MT-Bench counts it (Zheng et al., arXiv 2306.05685, section 4.2): setup 1 takes all votes, and a tie, "both bad" or a
verdict that follows the order is a tie; setup 2 takes only what both decided. Chance alone agrees in a third and in
half of the cases. Cohen's kappa (1960) takes off what chance would give with these very shares of winners.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from data.chat.window import Usage, Window
from data.feedback import Turn
from data.home import Home
from evals.answers.collect import Told
from evals.judge.pages import Pages
from evals.judge.pairs import judge_pair
from evals.judge.prompts import Case
from evals.judge.results import Pairs, PairVerdict, by_pair
from evals.model import Model, asking
from evals.report.results import Share
from evals.report.stats import share

SIDES = ("left", "right")


@dataclass(frozen=True)
class VotedPair:
    """Two answers that somebody voted on, left and right as they were shown. ``winner``: "0", "1", "tie", "both_bad".
    ``urls``: of the pages that either cites."""

    id: str
    question: str
    lang: str
    history: tuple[Turn, ...]
    answers: tuple[str, str]
    urls: tuple[str, ...]
    winner: str


@dataclass(frozen=True)
class Agreement:
    """``all_votes``: setup 1; ``decided``: setup 2. ``kappa``: over the three winners of setup 1; None where all votes
    of both are the same, or there are none. ``unread``: pairs without a verdict."""

    judge: str
    all_votes: Share
    decided: Share
    kappa: float | None
    unread: int
    pairs: Pairs | None

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        return {
            "judge": self.judge,
            "all_votes": vars(self.all_votes),
            "decided": vars(self.decided),
            "kappa": self.kappa,
            "unread": self.unread,
            "position_bias": self.pairs.as_dict()["position_bias"] if self.pairs else None,
        }


def agreement(judge: str, people: Sequence[str], verdicts: Sequence[PairVerdict]) -> Agreement:
    """``people``: winners by pair, in the order of ``verdicts``."""
    both = [
        ("tie" if person == "both_bad" else person, one.winner) for person, one in zip(people, verdicts, strict=True)
    ]
    read = [(person, model) for person, model in both if model]
    decided = [(person, model) for person, model in read if "tie" not in (person, model)]
    return Agreement(
        judge=judge,
        all_votes=share(sum(person == model for person, model in read), len(read)),
        decided=share(sum(person == model for person, model in decided), len(decided)),
        kappa=_kappa(read),
        unread=len(both) - len(read),
        pairs=next(iter(by_pair(verdicts)), None),
    )


def ask_about(voted: Sequence[VotedPair], model: Model, home: Home, told: Told) -> Agreement:
    """Let the judge vote, too. ConfigError, EngineError: its verdicts so far are kept."""
    return asyncio.run(_asked(voted, model, Pages(home), told))


async def _asked(voted: Sequence[VotedPair], model: Model, pages: Pages, told: Told) -> Agreement:
    def progress(usage: Usage) -> None:
        told("Judging", usage.done + usage.failed, 2 * len(voted))

    async with asking(model, progress) as window:
        verdicts = await asyncio.gather(*(_verdict(one, pages, window, n) for n, one in enumerate(voted)))
        return agreement(window.usage.model, [one.winner for one in voted], verdicts)


async def _verdict(one: VotedPair, pages: Pages, window: Window, place: int) -> PairVerdict:
    docs = pages.excerpts(one.urls, "\n".join([one.question, *sorted(one.answers)]))
    case = Case(one.question, one.lang, one.history, docs)
    return await judge_pair(one.id, case, SIDES, one.answers, window, place)


def _kappa(read: Sequence[tuple[str, str]]) -> float | None:
    if not read:
        return None
    from sklearn.metrics import cohen_kappa_score

    if len({winner for pair in read for winner in pair}) == 1:
        return None
    people, model = zip(*read, strict=True)
    found = float(cohen_kappa_score(people, model, labels=["0", "1", "tie"]))
    return None if math.isnan(found) else found
