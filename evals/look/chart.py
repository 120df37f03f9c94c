"""How pictures are drawn: colours, fonts, axes. PNG, by matplotlib.

Chinese words need a font that has them; where the machine has none, the words are English.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
    "SimHei",
)
COLORS = {"first": "#22655f", "second": "#c9762c", "open": "#7b847f"}
TEXT, DIM, LINE = "#1f2421", "#5f6862", "#e3dfd8"


def png(draw: Callable[[Any, str], None], lang: str = "en") -> bytes:
    """What ``draw`` draws on a figure, in the language that it is told: ``lang``, or English for want of a font."""
    import matplotlib
    from matplotlib.figure import Figure

    chinese = chinese_font()
    shown = lang if chinese or lang == "en" else "en"
    fonts = ["DejaVu Sans", *([chinese] if chinese else [])]
    colors: Any = {"text.color": TEXT, "axes.labelcolor": DIM, "xtick.color": DIM}
    with matplotlib.rc_context({"font.family": fonts, "text.parse_math": False, **colors}):  # names may hold a "$"
        figure = Figure(layout="constrained", facecolor="white")
        draw(figure, shown)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=150)
    return out.getvalue()


@cache
def chinese_font() -> str:
    """The name of one that is installed, or ""."""
    found = _known_font()
    if not found:
        _look_again()
        found = _known_font()
    return found


def _known_font() -> str:
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in CHINESE if name in there), "")


def _look_again() -> None:
    """matplotlib keeps its list of fonts for good: one that was installed later is not on it."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    for path in set(font_manager.findSystemFonts()) - {font.fname for font in manager.ttflist}:
        with suppress(RuntimeError, OSError):  # of fonts that it cannot read, such as bitmaps
            manager.addfont(path)


def plain(axes: Any) -> None:
    """No frame, a faint grid."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
