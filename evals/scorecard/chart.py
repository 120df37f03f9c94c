"""The scorecard as one picture: the triangles, and every measure of every column with its interval. PNG."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

from data.errors import ConfigError
from evals.look import chart as look
from evals.look.chart import DIM, LINE, TEXT, plain
from evals.scorecard import triangle
from evals.scorecard.measures import MEASURES, Measure
from evals.scorecard.results import Column, Scorecard
from evals.scorecard.words import Words

COLORS = ("#22655f", "#c9762c", "#5566b8", "#a8487c", "#7b847f", "#3a8fb7", "#7f8f2a", "#8a5a44")
WIDTH = 13.0
ACROSS, PANELS = 5, 4
"""Triangles and panels in a row."""
HEADLINE = {"en": 96, "zh": 118}
"""Letters in a line of the headline, in bold: a Chinese one counts as two."""
UNPICTURED = ("tokens",)


def save_png(card: Scorecard, path: Path, lang: str = "en") -> None:
    """Raises ConfigError where it cannot be written."""
    try:
        path.write_bytes(png(card, lang))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def png(card: Scorecard, lang: str = "en") -> bytes:
    return look.png(lambda figure, shown: _draw(figure, card, Words(shown)), lang)


def _draw(figure: Any, card: Scorecard, words: Words) -> None:
    count = len(card.columns)
    shown = [
        m
        for m in MEASURES
        if m.name not in UNPICTURED and any(score.value is not None for score in card.all.scores[m.name])
    ]
    rows, panels = -(-count // ACROSS), max(1, -(-len(shown) // PANELS))
    said = _wrapped(card.sentence[words.lang], words, HEADLINE[words.lang])
    limits = "\n".join(_wrapped(text, words, 155) for text in (card.peer[words.lang], card.limits[words.lang]) if text)
    top = 0.62 + 0.27 * (said.count("\n") + 1) + 0.2 * (limits.count("\n") + 1)
    heights = [top, 3.05 * rows, (0.75 + 0.3 * count) * panels]
    figure.set_layout_engine("none")  # placed by hand: matplotlib's layout takes as long as all drawing
    figure.set_size_inches(WIDTH, sum(heights))
    head, middle, bottom = figure.subfigures(3, height_ratios=heights)
    head.text(0.012, 1 - 0.18 / top, f"DocDuet · {words('title')}", fontsize=10.5, color=DIM, va="top")
    head.text(0.012, 1 - 0.47 / top, said, fontsize=14, va="top", linespacing=1.35, weight="bold")
    head.text(0.012, 0.1 / top, limits, fontsize=9.5, color=DIM, va="bottom", linespacing=1.4)
    _triangles(middle, card, words, rows)
    if shown:
        _panels(bottom, card, words, shown, panels)


def _wrapped(text: str, words: Words, width: int) -> str:
    """In lines. Chinese letters are twice as wide, and part anywhere but before punctuation."""
    if words.lang == "en":
        return textwrap.fill(text.replace(" %", "\u00a0%"), width)
    lines, room = [""], width
    for piece in re.findall(r"(?:[!-~−–·]+ ?|.)[，。、；：）”！？]*", text):
        room -= (size := sum(2 if east_asian_width(char) in "WF" else 1 for char in piece))
        if room < 0:
            lines, room = [*lines, ""], width - size
        lines[-1] += piece
    return "\n".join(lines)


def _triangles(figure: Any, card: Scorecard, words: Words, rows: int) -> None:
    found = [triangle.shares(card, n) for n in range(len(card.columns))]
    across = min(ACROSS, len(found)) if rows == 1 else ACROSS
    room = {"left": 0.01, "right": 0.99, "bottom": 0.04, "top": 1 - 0.17 / rows, "wspace": 0.05, "hspace": 0.3}
    spots = figure.subplots(rows, across, squeeze=False, gridspec_kw=room).flat
    for n, axes in enumerate(spots):
        axes.set_axis_off()
        if n < len(found):
            axes.set_aspect("equal")
            axes.set_xlim(-1.32, 1.32)
            axes.set_ylim(-0.98, 1.4)
            tag = words.tag(card.columns[n])
            name = words.voice(card.columns[n]) + (f"\n{_short(tag)}" if tag else "")
            axes.set_title(name, fontsize=11, color=TEXT, weight="bold")
            _triangle(axes, n, found, card.columns[n], words)


def _triangle(axes: Any, n: int, found: list[tuple[float | None, ...]], column: Column, words: Words) -> None:
    color, own = COLORS[column.color % len(COLORS)], found[n]
    for ring in (0.5, 1):
        axes.plot(*_closed([triangle.point(corner, ring) for corner in range(3)]), color=LINE, linewidth=1)
    for k, other in enumerate(found):
        if k != n and len(triangle.outline(other)) > 1:
            axes.plot(*_closed(triangle.outline(other)), color=DIM, linewidth=0.8, alpha=0.3)
    points = triangle.outline(own)
    if len(points) == 3:
        axes.fill(*zip(*points, strict=True), color=color, alpha=0.18, linewidth=0)
    if points:
        dashed = "-" if len(points) == 3 else (0, (3, 3))
        axes.plot(*_closed(points), color=color, linewidth=2.2, linestyle=dashed, solid_joinstyle="round")
        axes.plot(*zip(*points, strict=True), "o", color=color, markersize=5.5)
    for corner, (name, share) in enumerate(zip(triangle.CORNERS, own, strict=True)):
        x, y = triangle.point(corner)
        known, side = share is not None, ("center", "left", "right")[corner]
        if not known:
            axes.plot([0, x], [0, y], color=DIM, linewidth=1, linestyle=(0, (1, 3)))
        x, y = (0, 1.4) if corner == 0 else (1.3 * (1 if x > 0 else -1), y - 0.08)
        size, weight = (10.5, "bold") if known else (8.5, "normal")
        said = words.corner(column.quoting, name, share)
        axes.text(x, y, said, ha=side, va="top", fontsize=size, weight=weight, color=TEXT if known else DIM)
        axes.text(x, y - 0.21, words(name), ha=side, va="top", fontsize=8.5, color=DIM)


def _names(card: Scorecard, words: Words) -> list[str]:
    return [_short(words.column(column)) for column in card.columns]


def _short(name: str) -> str:
    return textwrap.shorten(name, 34, placeholder="…")


def _closed(points: list[tuple[float, float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(zip(*[*points, points[0]], strict=True))


def _panels(figure: Any, card: Scorecard, words: Words, shown: list[Measure], rows: int) -> None:
    tall, longest = (0.75 + 0.3 * len(card.columns)) * rows, max(len(name) for name in _names(card, words))
    letter = 0.075 if words.lang == "en" else 0.1
    right = 0.955 if words.lang == "en" else 0.94  # beside it stand values, such as 840 毫秒
    room = {"left": (0.25 + letter * longest) / WIDTH, "right": right, "wspace": 0.32}
    room |= {"bottom": 0.35 / tall, "top": 1 - 0.3 / tall, "hspace": 0.75 / (0.3 * len(card.columns))}
    spots = figure.subplots(rows, PANELS, squeeze=False, gridspec_kw=room)
    for n, axes in enumerate(spots.flat):
        if n < len(shown):
            _panel(axes, card, shown[n], words, named=n % PANELS == 0)
        else:
            axes.set_axis_off()


def _panel(axes: Any, card: Scorecard, measure: Measure, words: Words, named: bool) -> None:
    scores, share = card.all.scores[measure.name], measure.share
    known = [score.high for score in scores if score.value is not None]
    most = 1.0 if share else max(known) or 1.0
    for at, score in enumerate(scores):
        column = card.columns[at]
        color = COLORS[column.color % len(COLORS)]
        said = words.shown(measure.name, score.value)
        axes.text(1.03, at, said, va="center", fontsize=9, transform=axes.get_yaxis_transform())
        if score.value is not None:
            spots = {"color": color, "clip_on": False}  # whole at both ends of the scale
            axes.plot([score.low, score.high], [at, at], linewidth=2.4, alpha=0.55, solid_capstyle="round", **spots)
            filled = color if column.newest else "white"  # an older run of the same voice is hollow
            axes.plot(score.value, at, "o", markersize=6.5, markerfacecolor=filled, markeredgewidth=1.6, **spots)
    axes.set_title(words(measure.name) + {1: " ↑", -1: " ↓", 0: ""}[measure.better], loc="left", fontsize=10)
    names = _names(card, words)
    axes.set_yticks(range(len(names)), names if named else [""] * len(names), fontsize=9, color=TEXT)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.02 * most, most * 1.02)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda value, _: words.shown(measure.name, max(0.0, value)))
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="y", labelsize=9)
    plain(axes)
