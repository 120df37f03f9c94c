"""The curves of one or several runs: a PNG for each measure, and one HTML page that holds them all.

Loss, gradient norm, learning rate and seconds per step, each against steps and against samples, as in the article
that DocDuet grew from; tokens per second, MFU and memory against steps. Several runs lie over each other, so that a
change can be judged. The page is one file without any link: it can be mailed.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from sft.training.records import Run, Step

COLORS = ("#0f766e", "#d97706", "#4f46e5", "#be123c", "#0891b2", "#65a30d", "#9333ea", "#475569")
SMOOTHED_FROM = 60
"""Logged steps from which the loss is drawn as a mean over its neighbours, the single values pale behind it."""


@dataclass(frozen=True)
class Measure:
    """One curve. ``field``: of Step. ``both``: against samples as well.
    ``from_zero``: the axis begins at 0, so that heights compare."""

    field: str
    title: str
    unit: str
    both: bool = False
    factor: float = 1.0
    from_zero: bool = False


MEASURES = (
    Measure("loss", "Loss", "nats per token", both=True),
    Measure("grad_norm", "Gradient norm", "L2 norm", both=True),
    Measure("learning_rate", "Learning rate", "", both=True),
    Measure("seconds", "Time per step", "seconds", both=True),
    Measure("tokens_per_s", "Useful tokens per second", "tokens/s", from_zero=True),
    Measure("mfu", "Model FLOPs utilisation", "% of peak", factor=100.0, from_zero=True),
    Measure("memory_gib", "GPU memory, highest so far", "GiB", from_zero=True),
)


def plot(runs: Sequence[Run], out: Path) -> list[Path]:
    """Write NAME.png for each measure that was logged, and curves.html; gives their paths. Raises ConfigError."""
    named = list(zip(names(runs), runs, strict=True))
    if not any(run.steps for _, run in named):
        raise ConfigError("none of these runs has logged a step yet: there is nothing to draw")
    written: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for measure in MEASURES:
            if image := draw(named, measure):
                written.append(out / f"{measure.field}.png")
                written[-1].write_bytes(image)
        (out / "curves.html").write_text(page(named, written), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the curves cannot be written to {out}: {error}") from None
    return [*written, out / "curves.html"]


def names(runs: Sequence[Run]) -> list[str]:
    """The runs' folder names, with their parents' where two are alike."""
    short = [run.name for run in runs]
    return [
        name if short.count(name) == 1 else "/".join(run.folder.absolute().parts[-2:])
        for name, run in zip(short, runs, strict=True)
    ]


def draw(named: Sequence[tuple[str, Run]], measure: Measure) -> bytes:
    """One measure as a PNG, b"" where no run has it."""
    from matplotlib.figure import Figure

    sides = ("step", "samples") if measure.both and any(_has_samples(run) for _, run in named) else ("step",)
    figure = Figure(figsize=(5.4 * len(sides) + 0.6, 3.6), layout="constrained")
    panels = figure.subplots(1, len(sides), sharey=True, squeeze=False)[0]
    drawn = 0
    for axes, against in zip(panels, sides, strict=True):
        for number, (name, run) in enumerate(named):
            drawn += _curve(axes, run, measure, against, name, COLORS[number % len(COLORS)])
        _dress(axes, {"step": "step", "samples": "samples seen"}[against])
    if not drawn:
        return b""
    panels[0].set_ylabel(measure.unit)
    if measure.from_zero:
        panels[0].set_ylim(bottom=0)
        panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    figure.suptitle(measure.title, x=0.02, ha="left", fontsize=12, fontweight="bold")
    handles, labels = panels[0].get_legend_handles_labels()
    if len(named) > 1 or len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, fontsize=9)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=130)
    return sink.getvalue()


def _has_samples(run: Run) -> bool:
    return any(step.samples for step in run.steps)


def _curve(axes: Any, run: Run, measure: Measure, against: str, name: str, color: str) -> int:
    """Draw one run; how many points there were."""
    xs, ys = _points(run.steps, measure, against)
    if not xs:
        return 0
    if measure.field in ("loss", "grad_norm") and len(xs) >= SMOOTHED_FROM:
        axes.plot(xs, ys, color=color, alpha=0.25, linewidth=0.8)
        axes.plot(xs, smooth(ys), color=color, linewidth=1.6, label=name)
    else:
        marker = "o" if len(xs) < 15 else ""
        axes.plot(xs, ys, color=color, linewidth=1.5, marker=marker, markersize=3, label=name)
    if measure.field == "loss" and run.evaluations:
        at = {step.step: getattr(step, against) for step in run.steps}
        seen = [(at[one.step], one.loss) for one in run.evaluations if one.step in at and math.isfinite(one.loss)]
        if seen:
            label = f"{name}, validation"
            axes.plot(*zip(*seen, strict=True), color=color, linestyle="", marker="D", markersize=4.5,
                      markerfacecolor="white", label=label)  # fmt: skip
    return len(xs)


def _points(steps: Sequence[Step], measure: Measure, against: str) -> tuple[list[float], list[float]]:
    kept = [
        (float(getattr(step, against)), float(getattr(step, measure.field)) * measure.factor)
        for step in steps
        if math.isfinite(getattr(step, measure.field)) and (against == "step" or step.samples)
    ]
    return [x for x, _ in kept], [y for _, y in kept]


def smooth(values: Sequence[float]) -> list[float]:
    """The mean over a window of a thirtieth of the curve, centred, shorter at the ends."""
    half = max(1, len(values) // 60)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    edges = [(max(0, n - half), min(len(values), n + half + 1)) for n in range(len(values))]
    return [(sums[b] - sums[a]) / (b - a) for a, b in edges]


def _dress(axes: Any, label: str) -> None:
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e2e8f0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 5))
    axes.margins(x=0.02)


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #0f172a; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } img { max-width: 100%; display: block; margin: 1.2rem 0; }
table { border-collapse: collapse; } th, td { padding: .25rem .9rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { border-bottom: 1px solid #94a3b8; font-weight: 600; }
.wide { overflow-x: auto; }
"""

COLUMNS = (
    ("steps", "steps", "{:,.0f}"),
    ("loss", "loss", "{:.4f}"),
    ("eval_loss", "validation loss", "{:.4f}"),
    ("seconds_per_step", "s/step", "{:.3f}"),
    ("tokens_per_s", "tokens/s", "{:,.0f}"),
    ("mfu", "MFU", "{:.1%}"),
    ("memory_gib", "GiB", "{:.1f}"),
)


def page(named: Sequence[tuple[str, Run]], images: Sequence[Path]) -> str:
    """The HTML page, images embedded; whatever comes from a run's files is escaped."""
    shown = [column for column in COLUMNS if any(column[0] in run.metrics() for _, run in named)]
    head = "".join(f"<th>{html.escape(title)}</th>" for _, title, _ in shown)
    rows = "".join(_row(name, run, shown) for name, run in named)
    title = html.escape(", ".join(name for name, _ in named))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>Training curves: {title}</h1>"
        "<p>Loss and memory are the last logged; speeds are means over the second half.</p>"
        f'<div class="wide"><table><tr><th>run</th><th>recipe</th>{head}</tr>{rows}</table></div>'
        f"{''.join(map(_picture, images))}</html>\n"
    )


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'


def _row(name: str, run: Run, shown: Sequence[tuple[str, str, str]]) -> str:
    metrics = run.metrics()
    recipe = run.info.recipe if run.info else ""
    cells = [name, recipe, *(form.format(metrics[key]) if key in metrics else "" for key, _, form in shown)]
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
