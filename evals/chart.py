"""A report as a picture: hit@5 of every system, one group of bars a language."""

from __future__ import annotations

from pathlib import Path

from data.errors import ConfigError
from evals.retrieval import Report

LANGUAGES = {"en": "English", "zh": "Chinese"}
COLORS = {"hybrid": "#0f766e", "bm25": "#5eead4", "dense": "#94a3b8", "bigram": "#fbbf24", "llamaindex": "#f87171"}
LABELS = {
    "hybrid": "DocDuet hybrid",
    "bm25": "its BM25 alone",
    "dense": "its vectors alone",
    "bigram": "BM25 over character pairs",
    "llamaindex": "LlamaIndex, stock",
}


def save_chart(report: Report, path: Path) -> None:
    """Write the picture to ``path``; its ending (.png, .svg) says in which format. Raises ConfigError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    langs, systems = report.langs(), list(report.outcomes)
    width = 0.8 / len(systems)
    for n, system in enumerate(systems):
        values = [report.scores(system, lang).hit_at_5 for lang in langs]
        places = [group + (n - (len(systems) - 1) / 2) * width for group in range(len(langs))]
        bars = axes.bar(places, values, width * 0.92, color=COLORS.get(system), label=LABELS.get(system, system))
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
    counts = {lang: report.scores(systems[0], lang).questions for lang in langs}
    axes.set_xticks(range(len(langs)), [f"{LANGUAGES.get(lang, lang)} ({counts[lang]} questions)" for lang in langs])
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("hit@5")
    axes.set_title(f"{report.set}: how often a page that answers is among the first five ({report.pages} pages)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=len(systems), frameon=False, fontsize=8)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the chart cannot be written to {path}: {error}") from None
