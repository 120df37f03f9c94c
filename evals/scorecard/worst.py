"""The questions that were answered worst, with what was said. Pure.

A question's score is the share of its facts that the answer holds; where an answer is none, 0; where the docs hold no
answer, 1 for a refusal and 0 for anything else. Questions without facts are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.look.text import line, visible
from evals.runs import Result
from evals.scorecard.results import Side, Worst

SHOWN = 10
MOST_FACTS = 12


def worst(answers: Sequence[tuple[int, Mapping[str, Result]]]) -> tuple[Worst, ...]:
    """Of one or two columns: number and answers by question. The lowest sum of scores first; of equal ones those that
    the last column answers worse."""
    shared = set.intersection(*(set(found) for _, found in answers)) if answers else set()
    rows = []
    for id in sorted(shared):
        scores = [scored(found[id]) for _, found in answers]
        known = [score for score in scores if score is not None]
        if len(known) == len(scores) and min(known) < 1:
            rows.append((sum(known), known[-1], id))
    return tuple(_worst(id, [(column, found[id]) for column, found in answers]) for *_, id in sorted(rows)[:SHOWN])


def scored(result: Result) -> float | None:
    """0 to 1; None where nobody wrote down what a good answer holds."""
    if result.answerable is False:
        return float(result.refused)
    if result.refused and result.answerable:
        return 0.0
    return result.facts_recalled


def _worst(id: str, sides: Sequence[tuple[int, Result]]) -> Worst:
    first = sides[0][1]
    shown = (line(first.id), visible(first.question, 400), line(first.lang, 12), line(first.kind, 20))
    return Worst(*shown, first.answerable, tuple(_side(column, result) for column, result in sides))


def _side(column: int, result: Result) -> Side:
    return Side(
        column=column,
        answer=visible(result.answer),
        score=scored(result) or 0.0,
        refused=result.refused,
        facts_recalled=result.facts_recalled,
        completeness=result.completeness,
        degraded=line(result.degraded),
        degenerate=result.degenerate,
        missing=tuple(visible(text, 300) for text in result.missing[:MOST_FACTS]),
        sources=tuple(line(url, 120) for url in result.sources[:MOST_FACTS]),
    )
