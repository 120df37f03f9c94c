"""Which runs may be compared, and how two sides differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.runs import EvalRun, Result
from evals.scorecard.bootstrap import Taken, difference
from evals.scorecard.measures import MEASURES
from evals.scorecard.results import Difference


def answers_of(run: EvalRun) -> dict[str, dict[str, Result]]:
    """Arm -> question -> answer; of two answers to one question the later."""
    found: dict[str, dict[str, Result]] = {}
    for result in run.results:
        found.setdefault(result.arm, {})[result.id] = result
    return found


def different(first: EvalRun, second: EvalRun) -> str:
    """Why two runs cannot be compared, or "": they must have asked the same questions."""
    if first.set_sha256 and second.set_sha256 and first.set_sha256 != second.set_sha256:
        return f"the question sets differ ({first.set} {first.set_sha256[:8]}, {second.set} {second.set_sha256[:8]})"
    asked = [{result.id: result.question for result in run.results} for run in (first, second)]
    shared = asked[0].keys() & asked[1].keys()
    if not shared:
        return "no question was asked in both"
    changed = next((id for id in sorted(shared) if asked[0][id] != asked[1][id]), None)
    return f"question {changed} is another one in each" if changed is not None else ""


def compared(
    before: Mapping[str, Result],
    after: Mapping[str, Result],
    ids: Sequence[str],
    margin: float = 0.0,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """Every measure that both have, over the questions ``ids``."""
    sides = [[results[id] for id in ids] for results in (before, after)]
    found = (difference(Taken.of(m, sides[0]), Taken.of(m, sides[1]), margin, seed) for m in MEASURES)
    return tuple(one for one in found if one)
