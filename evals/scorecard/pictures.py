"""What the page draws, as SVG: triangles, intervals of shares, and differences on both sides of nothing. Pure.

Pictures stretch with the page and take their colours from scorecard.css, light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evals.scorecard import triangle
from evals.scorecard.measures import BY_NAME
from evals.scorecard.results import Column, Difference, Score, Scorecard
from evals.scorecard.words import Words

COLORS = 8
"""Of columns, in scorecard.css and chart.py; the ninth has the first one again."""
CENTRE, RADIUS = (130.0, 112.0), 82.0
NAMES_AT = ((130, 14), (58, 176), (202, 176))


def chip(column: Column) -> str:
    """The colour of a column; hollow where a newer run has the same voice."""
    return f'<i class="ds-chip {_color(column)}{"" if column.newest else " ds-old"}" aria-hidden="true"></i>'


def name(card: Scorecard, n: int, words: Words) -> str:
    """A column's head."""
    column = card.columns[n]
    tag = f"<small>{escape(words.tag(column))}</small>" if words.tag(column) else ""
    return f'{chip(column)}<span class="ds-name">{escape(words.voice(column))}{tag}</span>'


def _color(column: Column) -> str:
    return f"ds-c{column.color % COLORS}"


def triangles(card: Scorecard, words: Words) -> str:
    """One a column, the others' outlines behind it."""
    found = [triangle.shares(card, n) for n in range(len(card.columns))]
    cards = (_triangle(card, n, found, words) for n in range(len(found)))
    return f'<div class="ds-triangles">{"".join(cards)}</div>'


def _triangle(card: Scorecard, n: int, found: Sequence[tuple[float | None, ...]], words: Words) -> str:
    column, own = card.columns[n], found[n]
    corners = range(len(own))
    rings = "".join(f'<path class="ds-ring" d="{_path([triangle.point(c, r) for c in corners])}Z"/>' for r in (0.5, 1))
    axes = "".join(
        f'<path class="ds-axis{"" if own[c] is not None else " ds-open"}" d="{_path([(0, 0), triangle.point(c)])}"/>'
        for c in corners
    )
    ghosts = "".join(_shape(other, "ds-ghost") for k, other in enumerate(found) if k != n)
    dots = "".join(f'<path class="ds-corner" d="{_path([at])}h0.01"/>' for at in triangle.outline(own))
    said = [words.corner(column.quoting, corner, share) for corner, share in zip(triangle.CORNERS, own, strict=True)]
    labels = "".join(
        f'<text x="{x}" y="{y}" class="{"" if own[c] is not None else "ds-dim"}">{escape(said[c])}</text>'
        f'<text x="{x}" y="{y + 13}" class="ds-axis-name">{escape(words(triangle.CORNERS[c]))}</text>'
        for c, (x, y) in enumerate(NAMES_AT)
    )
    alt = words("triangle.alt", name=words.column(column), **dict(zip(triangle.CORNERS, said, strict=True)))
    return (
        f'<figure class="{_color(column)}"><figcaption>{name(card, n, words)}</figcaption>'
        f'<svg viewBox="0 0 260 196" role="img" aria-label="{escape(alt, quote=True)}">{rings}{axes}{ghosts}'
        f"{_shape(own, 'ds-shape')}{dots}{labels}</svg></figure>"
    )


def _shape(found: Sequence[float | None], kind: str) -> str:
    points = triangle.outline(found)
    if len(points) < 2:
        return ""
    whole = len(points) == len(found)
    return f'<path class="{kind}{"" if whole else " ds-part"}" d="{_path(points)}{"Z" if whole else ""}"/>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    placed = (f"{CENTRE[0] + RADIUS * x:.1f} {CENTRE[1] - RADIUS * y:.1f}" for x, y in points)
    return "M" + "L".join(placed)


def bar(score: Score) -> str:
    """A share with its interval, from 0 to 100 %."""
    low, at, high = (f"{100 * share:.1f}" for share in (score.low, score.value or 0.0, score.high))
    return (
        '<svg class="ds-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="ds-track" d="M0 4H100"/><path class="ds-span" d="M{low} 4H{high}"/>'
        f'<path class="ds-dot" d="M{at} 4h0.01"/></svg>'
    )


def forest(differences: Sequence[Difference], words: Words) -> str:
    """Differences of shares in points, on a scale that is as wide as needed."""
    if not differences:
        return ""
    most = max(abs(end) for one in differences for end in (one.low, one.high))
    scale = next(step for step in (0.05, 0.1, 0.25, 0.5, 0.75, 1.0) if most <= step or step == 1.0)
    rows = "".join(_row(one, scale, words) for one in differences)
    ends = "".join(f"<span>{escape(words.points(end, signed=True))}</span>" for end in (-scale, 0, scale))
    return (
        f'<div class="dr-forest ds-forest">{rows}'
        f'<div class="dr-row dr-scale"><span>{escape(words("points"))}</span><div>{ends}</div><span></span></div></div>'
    )


def _row(one: Difference, scale: float, words: Words) -> str:
    low, at, high = (50 + 50 * max(-1.0, min(1.0, share / scale)) for share in (one.low, one.value, one.high))
    shown, within = words.change(one, one.value), words.range(one)
    arrow = {1: "↑", -1: "↓", 0: ""}[BY_NAME[one.measure].better]
    alt = f"{words(one.measure)}: {shown} ({within}), {words(f'verdict.{one.verdict}')}"
    verdict = {"better": "first", "worse": "second"}.get(one.verdict, "open")
    ends = f"{words.shown(one.measure, one.before)} → {words.shown(one.measure, one.after)}"
    return (
        f'<div class="dr-row"><span class="dr-label">{escape(words(one.measure))} {arrow}<small>{escape(ends)}</small>'
        f'</span><svg class="dr-line dr-is-{verdict}" viewBox="0 0 100 20" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(alt, quote=True)}"><path class="dr-half" d="M50 0V20"/>'
        f'<path class="dr-span" d="M{low:.2f} 10H{high:.2f}"/><path class="dr-dot" d="M{at:.2f} 10h0.01"/></svg>'
        f'<span class="dr-value">{escape(shown)}<small>{escape(within)}</small></span></div>'
    )
