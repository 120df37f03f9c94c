"""What `quote_below` would do: of each limit, how many answers are quoted instead, and how good the shown ones are.

python recipes/docduet-tiny/sure.py asked.jsonl answers.jsonl        (both of 06_score.py)

Refusals are left out: they are shown whatever the model's certainty. F1 is score_tasks.py's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

LIMITS = (-0.05, -0.1, -0.15, -0.2, -0.3, -0.4, -0.5, -0.7, -1.0, -1.5)


def limits(told: Sequence[tuple[float, float]], wanted: Sequence[float]) -> list[tuple[float, float, float, float]]:
    """Of each limit: itself, share below it, mean F1 of the others, mean F1 of those below. ``told``: certainty, F1."""
    found = []
    for limit in wanted:
        shown = [good for sure, good in told if sure >= limit]
        quoted = [good for sure, good in told if sure < limit]
        found.append((limit, len(quoted) / len(told), _mean(shown), _mean(quoted)))
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def main() -> None:
    from score_tasks import f1, refuses

    asked, answers = ([json.loads(line) for line in Path(name).read_text().splitlines()] for name in sys.argv[1:3])
    told = [
        (said["confidence"], f1(said["answer"], task["answer"]))
        for task, said in zip(asked, answers, strict=True)
        if not refuses(said["answer"])
    ]
    if not told:
        print("no answers but refusals: nothing to choose a limit by")
        return
    print(f"{len(told)} answers\nlimit   quoted  F1 shown  F1 quoted")
    for limit, share, shown, quoted in limits(told, LIMITS):
        print(f"{limit:5.2f}  {share:7.1%}  {shown:8.3f}  {quoted:9.3f}")


if __name__ == "__main__":
    main()
