"""Rows of a picture that both the page (html.py) and the PNG (chart.py) draw: win rates with their intervals. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from evals.report.results import Pair
from evals.report.words import Words

PICTURED = ("in_docs", "lang")
"""Slices that are drawn; the others are in tables."""


@dataclass(frozen=True)
class Line:
    """``kind``: "all", "users", "length" or "slice". Shares of the first arm; ``note``: such as the number of votes."""

    label: str
    value: float
    low: float
    high: float
    kind: str
    note: str


def lines(pair: Pair, words: Words) -> list[Line]:
    """What is drawn of a pair, top to bottom."""
    rate = pair.counts.win_rate
    found = []
    if rate.value is not None:
        found.append(Line(words("row.all"), rate.value, rate.low, rate.high, "all", f"{rate.of:,.0f}"))
    if users := pair.by_user:
        found.append(Line(words("row.users"), users.value, users.low, users.high, "users", words.people(users.users)))
    if same := pair.equal_length:
        found.append(Line(words("row.length"), same.value, same.low, same.high, "length", f"{same.of:,}"))
    for name in PICTURED:
        for part in pair.slices.get(name, ()):
            rate = part.counts.win_rate
            if rate.value is not None:
                label = words.named(name, part.value)
                found.append(Line(label, rate.value, rate.low, rate.high, "slice", f"{rate.of:,.0f}"))
    return found


def verdict_of(line: Line) -> str:
    """ "first", "second" or "open": which side of one half the whole interval lies on."""
    return "first" if line.low > 0.5 else "second" if line.high < 0.5 else "open"


def svg(line: Line, words: Words) -> str:
    """One row's interval on a scale from 0 to 100 %. It stretches with the page; strokes keep their width."""
    said = {"share": words.percent(line.value), "low": words.percent(line.low), "high": words.percent(line.high)}
    alt = escape(words("forest.alt", label=line.label, **said), quote=True)
    low, at, high = (round(100 * share, 2) for share in (line.low, line.value, line.high))
    return (
        f'<svg class="dr-line dr-{line.kind} dr-is-{verdict_of(line)}" viewBox="0 0 100 20" '
        f'preserveAspectRatio="none" role="img" aria-label="{alt}"><path class="dr-half" d="M50 0V20"/>'
        f'<path class="dr-span" d="M{low} 10H{high}"/><path class="dr-dot" d="M{at} 10h0.01"/></svg>'
    )
