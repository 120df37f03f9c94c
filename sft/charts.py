"""The card's pictures: tokens per shape, answer lengths, coverage of pages, rejects by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

COLOR, PALE, INK = "#0f766e", "#d97706", "#334155"


def save_charts(
    folder: Path,
    tokens: Mapping[str, int],
    lengths: Sequence[int],
    base_lengths: Sequence[int],
    samples_of_pages: Sequence[int],
    rejects: Mapping[str, int],
) -> None:
    """Four PNGs in ``folder``. ``samples_of_pages``: for each page, how many samples came of it."""
    ordered = dict(sorted(tokens.items(), key=lambda one: -one[1]))
    _bars(folder / "tokens_per_shape.png", ordered, "Tokens per shape", "tokens")
    _lengths(folder / "answer_lengths.png", lengths, base_lengths)
    counts = Counter(_bin(count) for count in samples_of_pages)
    covered = {label: counts.get(label, 0) for label in ("0", "1-4", "5-19", "20-99", "100+")}
    _bars(folder / "page_coverage.png", covered, "Coverage: pages by how many samples came of them", "pages", "samples")
    _bars(folder / "rejects.png", rejects or {"none": 0}, "Turned down, by gate", "samples")


def _bin(count: int) -> str:
    return next((label for label, top in (("0", 0), ("1-4", 4), ("5-19", 19), ("20-99", 99)) if count <= top), "100+")


def _bars(path: Path, values: Mapping[str, int], title: str, unit: str, side: str = "") -> None:
    """One bar each, with its number and its share of the whole."""
    figure, axes = _figure(title)
    whole = sum(values.values()) or 1
    bars = axes.barh(list(values)[::-1], list(values.values())[::-1], color=COLOR, height=0.7)
    labels = [f"{value:,} ({value / whole:.0%})" for value in list(values.values())[::-1]]
    axes.bar_label(bars, labels=labels, padding=4, fontsize=8, color=INK)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
    axes.set(xlabel=unit, ylabel=side, xlim=(0, max(*values.values(), 1) * 1.2))
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=144)


def _lengths(path: Path, lengths: Sequence[int], base: Sequence[int]) -> None:
    """Shares of answers on a logarithmic axis, so that areas compare; the medians as lines."""
    import numpy as np

    figure, axes = _figure("Length of the answers")
    top = max([*lengths, *base, 10]) + 1
    bins = np.geomspace(1, top, 36)
    drawn = [(lengths, COLOR, "this dataset", "stepfilled"), (base, PALE, "the base model", "step")]
    for values, color, name, kind in drawn:
        if values:
            shares = np.full(len(values), 100 / len(values))
            label = f"{name}, median {median(values):.0f}"
            alpha = 0.85 if kind == "stepfilled" else 1
            axes.hist(
                values, bins=bins, weights=shares, histtype=kind, color=color, linewidth=2, alpha=alpha, label=label
            )
            axes.axvline(median(values), color=color, linestyle="--", linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xticks([tick for tick in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if tick <= top])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:.0f} %")
    axes.set(xlabel="tokens", ylabel="share of the answers")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=144)


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#94a3b8")
    axes.tick_params(colors=INK)
    return figure, axes
