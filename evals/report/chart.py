"""The report as pictures: win rates with intervals, and how long the voices take. PNG, by matplotlib."""

from __future__ import annotations

from typing import Any, Literal

from evals.look import chart as look
from evals.look.chart import COLORS, DIM, TEXT, plain
from evals.report import forest
from evals.report.results import Report
from evals.report.words import Words

Name = Literal["win-rates", "voices"]
NAMES: tuple[Name, ...] = ("win-rates", "voices")


def png(report: Report, name: Name, lang: str = "en") -> bytes:
    """One picture."""
    draw = _win_rates if name == "win-rates" else _voices
    return look.png(lambda figure, shown: draw(figure, report, Words(shown)), lang)


def _win_rates(figure: Any, report: Report, words: Words) -> None:
    groups = [(pair, forest.lines(pair, words)) for pair in report.pairs]
    rows = sum(len(lines) for _, lines in groups)
    figure.set_size_inches(9.5, max(2.2, 0.42 * rows + 0.95 * len(groups) + 0.4))
    if not groups:
        figure.text(0.5, 0.5, words("said.none"), ha="center", wrap=True)
        return
    panels = figure.subplots(len(groups), squeeze=False, height_ratios=[len(lines) + 1.2 for _, lines in groups])
    for (pair, lines), axes in zip(groups, panels[:, 0], strict=True):
        first, second = (words.named("voice", arm) for arm in pair.arms)
        axes.set_title(words("versus", first=first, second=second), loc="left", fontsize=11, color=TEXT)
        for at, line in enumerate(lines):
            color, wide = COLORS[forest.verdict_of(line)], line.kind == "all"
            axes.plot(
                [line.low, line.high], [at, at], color=color, linewidth=4 if wide else 2.2, solid_capstyle="round"
            )
            axes.plot(line.value, at, "o", color=color, markersize=9 if wide else 6.5)
            ends = f"{words.percent(line.value)}  ({words.percent(line.low)} – {words.percent(line.high)})"
            axes.text(1.02, at, ends, va="center", fontsize=9, transform=axes.get_yaxis_transform())
        axes.axvline(0.5, color=DIM, linewidth=0.9, linestyle=(0, (2, 4)), zorder=0)
        axes.set_yticks(range(len(lines)), [f"{line.label}  ({line.note})" for line in lines], fontsize=9, color=TEXT)
        axes.set_ylim(len(lines) - 0.4, -0.6)
        plain(axes)
        axes.set_xlim(0, 1)
        axes.set_xticks(
            [0, 0.25, 0.5, 0.75, 1], [words.percent(share) for share in (0, 0.25, 0.5, 0.75, 1)], fontsize=8.5
        )
        axes.set_xlabel(f"← {words('better', voice=second)}        {words('better', voice=first)} →", fontsize=9)


def _voices(figure: Any, report: Report, words: Words) -> None:
    figure.set_size_inches(9.5, max(2.6, 0.75 * len(report.voices) + 3.2))
    for axes, name in zip(figure.subplots(2, 2).flat, ("first_ms", "total_ms", "tokens", "length"), strict=True):
        known = [(voice, spread) for voice in report.voices if (spread := getattr(voice, name))]
        for at, (_, spread) in enumerate(known):
            axes.plot([spread.p50, spread.p95], [at, at], color=COLORS["first"], linewidth=1.6, alpha=0.6)
            axes.barh(at, spread.p50, 0.34, color=COLORS["first"])
        axes.set_yticks(
            range(len(known)), [words.named("voice", voice.arm) for voice, _ in known], fontsize=9, color=TEXT
        )
        axes.set_title(words(name), loc="left", fontsize=10.5, color=TEXT)
        axes.xaxis.set_major_formatter(
            lambda value, _, name=name: words.time(value) if name.endswith("_ms") else f"{value:,.0f}"
        )
        axes.tick_params(labelsize=8.5)
        axes.invert_yaxis()
        plain(axes)
