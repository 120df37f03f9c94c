"""The card's pictures: tokens per shape, answer lengths, coverage of pages, rejects by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOR, PALE = "#0f766e", "#94a3b8"


def save_charts(
    folder: Path,
    tokens: Mapping[str, int],
    lengths: Sequence[int],
    base_lengths: Sequence[int],
    samples_of_pages: Sequence[int],
    rejects: Mapping[str, int],
) -> None:
    """Four PNGs in ``folder``. ``samples_of_pages``: for each page, how many samples came of it."""
    _bars(folder / "tokens_per_shape.png", tokens, "Tokens per shape", "tokens")
    _lengths(folder / "answer_lengths.png", lengths, base_lengths)
    counts = Counter(_bin(count) for count in samples_of_pages)
    covered = {label: counts.get(label, 0) for label in ("0", "1-4", "5-19", "20-99", "100+")}
    _bars(folder / "page_coverage.png", covered, "Pages by the number of their samples", "pages")
    _bars(folder / "rejects.png", rejects or {"none": 0}, "Rejects by gate", "samples")


def _bin(count: int) -> str:
    return next((label for label, top in (("0", 0), ("1-4", 4), ("5-19", 19), ("20-99", 99)) if count <= top), "100+")


def _bars(path: Path, values: Mapping[str, int], title: str, unit: str) -> None:
    figure, axes = _figure(title)
    bars = axes.barh(list(values)[::-1], list(values.values())[::-1], color=COLOR)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.set_xlabel(unit)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=120)


def _lengths(path: Path, lengths: Sequence[int], base: Sequence[int]) -> None:
    import numpy as np

    figure, axes = _figure("Length of the answers")
    bins = np.geomspace(1, max([*lengths, *base, 10]) + 1, 36)
    axes.hist(lengths, bins=bins, density=True, color=COLOR, label="this dataset")
    if base:
        axes.hist(base, bins=bins, density=True, histtype="step", color=PALE, linewidth=2, label="the base model")
        axes.legend(frameon=False)
    axes.set_xscale("log")
    axes.set_xlabel("tokens")
    figure.savefig(path, dpi=120)


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
