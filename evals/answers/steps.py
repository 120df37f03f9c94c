"""Completeness of answers in steps: of the gold steps, how many the answer has in the right order.

    completeness = length of the longest chain of steps that are said in order / number of gold steps

Each step is looked for in every sentence, line and list item; where none holds all of it, it is said where the answer
has said the last of it. The chain is the longest increasing subsequence of these places (Schensted 1961; Hirschberg's
LCS where every step is said once). Two steps in one place are in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from evals.answers.facts import alike, place, recalled
from evals.answers.text import pieces, said
from evals.questions import Fact
from rag.support import Weigh


def completeness(steps: Sequence[Fact], answer: str, weigh: Weigh = alike) -> float:
    """0 to 1, of one step or more."""
    found = pieces(answer)
    return longest_in_order([_places(step, found, weigh) for step in steps]) / len(steps)


def longest_in_order(places: Sequence[Sequence[int]]) -> int:
    """The most steps that can be picked so that the place of none lies before that of an earlier one.

    ``places``: for each step, in order, where it is said; empty where it is not.
    """
    ends: list[int] = []  # the smallest place that a chain of this length can end at
    for options in places:
        for at in sorted(set(options), reverse=True):  # downwards: no chain takes the same step twice
            length = bisect_right(ends, at)
            ends[length : length + 1] = [at]
    return len(ends)


def _places(step: Fact, found: Sequence[tuple[int, str]], weigh: Weigh) -> list[int]:
    inside = [at for start, text in found if (at := _within(step, start, text, weigh)) is not None]
    if inside:
        return inside
    so_far = ""
    for start, text in found:
        so_far = f"{so_far}\n{text}"
        if recalled(step, so_far, weigh):
            return [start]
    return []


def _within(step: Fact, start: int, text: str, weigh: Weigh) -> int | None:
    if not step.keys:
        return start if recalled(step, text, weigh) else None
    at = place(step.keys, said(text))
    return None if at is None else start + at
