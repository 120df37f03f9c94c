"""Two answers to the same question, compared in both orders: a verdict that follows the order is a tie, and counted.

Pure but for the calls. Who votes on what people voted on uses it as well: agreement.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from data.chat.calls import Call, TurnedDown
from data.chat.window import Rank, Window
from data.citations import strip_markers
from evals.judge.answers import problem_of
from evals.judge.prompts import Case, pair_messages
from evals.judge.replies import Pair, pair
from evals.judge.results import PairVerdict, Winner

_MAX_TOKENS = 300


async def judge_pair(
    id: str, case: Case, arms: tuple[str, str], answers: Sequence[str], window: Window, place: int
) -> PairVerdict:
    """The verdict on two answers, by the order of ``arms``."""
    left, right = (strip_markers(answer).strip() for answer in answers)
    if " ".join(left.split()) == " ".join(right.split()):
        return PairVerdict(id=id, arms=arms, orders=("tie", "tie"), same=True)
    found = await asyncio.gather(_asked(case, left, right, window, place), _asked(case, right, left, window, place))
    problems = [verdict for verdict in found if isinstance(verdict, str)]
    return PairVerdict(
        id=id,
        arms=arms,
        orders=(_winner(found[0], ("0", "1")), _winner(found[1], ("1", "0"))),
        reasons=tuple(verdict.reason for verdict in found if isinstance(verdict, Pair)),
        problem=problems[0] if problems else "",
    )


async def _asked(case: Case, first: str, second: str, window: Window, place: int) -> Pair | str:
    """A verdict, or why there is none."""
    call = Call("judge", pair_messages(case, first, second), _MAX_TOKENS, temperature=0.0)
    try:
        return pair(await window.ask(call, Rank(0, place)))
    except TurnedDown as error:
        return problem_of(error)


def _winner(verdict: Pair | str, shown: tuple[Winner, Winner]) -> Winner:
    """``shown``: which answer was A, and which B."""
    if isinstance(verdict, str):
        return ""
    return "tie" if verdict.winner == "tie" else shown[verdict.winner == "B"]
