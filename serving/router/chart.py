"""The risk-coverage curve as a picture: how often an answer is wrong, the more questions are answered."""

from __future__ import annotations

from pathlib import Path

from data.errors import ConfigError
from serving.router.outcomes import Outcomes, aurc, confidence, curves, picked_right

COLORS = {"router": "#0f766e", "always rag": "#f59e0b", "oracle": "#94a3b8"}


def save_chart(found: Outcomes, refuse_below: float, title: str, path: Path) -> None:
    """Write the picture; the ending of ``path`` (.png, .svg) says in which format. Raises ConfigError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for name, risk in curves(found).items():
        coverage = [(n + 1) / len(risk) for n in range(len(risk))]
        axes.plot(coverage, risk, color=COLORS.get(name), label=f"{name} (AURC {aurc(risk):.3f})", linewidth=1.8)
    answered = confidence(found) >= refuse_below
    if answered.any():
        wrong = 1 - picked_right(found)[answered].mean()
        axes.plot(answered.mean(), wrong, "o", color=COLORS["router"], label="threshold in use")
    axes.set(
        xlim=(0, 1.01), ylim=(0, None), xlabel="share of questions answered", ylabel="share of answers that are wrong"
    )
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(color="#e2e8f0", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the chart cannot be written to {path}: {error}") from None
