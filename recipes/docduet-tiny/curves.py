"""Draw the logs of all stages: losses, learning rate, speed.

python recipes/docduet-tiny/curves.py WORK/pretrain/log.jsonl WORK/read/log.jsonl --out curves.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PANELS = (
    ("loss", (("loss_text", "text"), ("loss_answers", "answers"), ("heldout_loss", "held out"))),
    ("learning rate", (("lr", ""),)),
    ("tokens a second", (("tokens_per_s", ""),)),
)
COLORS = ("#334155", "#0f766e", "#d97706")


def draw(logs: Sequence[Path], out: Path) -> None:
    """One row of panels a log; x is millions of tokens."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(logs), len(PANELS), figsize=(12, 3.2 * len(logs)), squeeze=False)
    for path, row in zip(logs, axes, strict=True):
        stage = path.parent.name if path.stem == "log" else path.stem
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for panel, (title, curves) in zip(row, PANELS, strict=True):
            for color, (name, label) in zip(COLORS, curves, strict=False):
                x, y = series(lines, name)
                panel.plot(x, y, label=label, color=color, lw=1.2, marker="o" if name == "heldout_loss" else "", ms=3)
            panel.set(title=f"{stage}: {title}", xlabel="million tokens")
            panel.spines[["top", "right"]].set_visible(False)
            if title == "loss":
                panel.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=144)


def series(lines: Sequence[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Millions of tokens and the values of ``name``; a line without tokens stands where the last one stood."""
    x: list[float] = []
    y: list[float] = []
    tokens = 0.0
    for line in lines:
        tokens = line.get("tokens", 0) / 1e6 or tokens
        if line.get(name):
            x.append(tokens)
            y.append(line[name])
    return x, y


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("curves.png"))
    given = parser.parse_args()
    draw(given.logs, given.out)
    print(given.out)
