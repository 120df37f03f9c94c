"""The impossible triangle: how accurate, how complete, how able in general a voice is. Pure.

Each corner is 100 % of one share, the middle is 0: `facts_recalled`, `completeness` of answers in steps, and general
ability (abilities.py). What was not measured has no place; nothing is drawn for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evals.scorecard.results import Scorecard

CORNERS = ("accuracy", "complete", "general")
ANGLES = (90, 210, 330)


def shares(card: Scorecard, column: int) -> tuple[float | None, ...]:
    """Of the corners, in their order."""
    scores = card.all.scores
    found = (scores["facts_recalled"][column], scores["completeness"][column], card.abilities.total[column])
    return tuple(score.value for score in found)


def point(corner: int, share: float = 1.0) -> tuple[float, float]:
    """Where it lies, for a corner at distance 1 from (0, 0); upwards is positive."""
    angle = math.radians(ANGLES[corner])
    return share * math.cos(angle), share * math.sin(angle)


def outline(found: Sequence[float | None]) -> list[tuple[float, float]]:
    """The points of what was measured: three make a triangle, two a line."""
    return [point(corner, share) for corner, share in enumerate(found) if share is not None]
