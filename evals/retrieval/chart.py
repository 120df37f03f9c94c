"""A report as a picture: hit@1 and hit@5 of every system, one group of bars a language, with how sure they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.errors import ConfigError
from evals.report.stats import share
from evals.retrieval.bench import Report, Scores

LANGUAGES = {"en": "English", "zh": "Chinese"}
COLORS = {
    "hybrid": "#0f766e",
    "bm25": "#5eead4",
    "dense": "#94a3b8",
    "bigram": "#fbbf24",
    "bigram-pages": "#fde68a",
    "llamaindex": "#f87171",
}
LABELS = {
    "hybrid": "DocDuet hybrid",
    "bm25": "its BM25 alone",
    "dense": "its vectors alone",
    "bigram": "BM25, character pairs",
    "bigram-pages": "... of whole pages",
    "llamaindex": "LlamaIndex, stock",
}


def save_chart(report: Report, path: Path) -> None:
    """Write the picture to ``path``; its ending (.png, .svg) says in which format. Raises ConfigError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.2), layout="constrained")
    panels = figure.subplots(2, sharex=True)
    for axes, name, said in zip(panels, ("hit_at_1", "hit_at_5"), ("first", "among the first five"), strict=True):
        _bars(axes, report, name)
        axes.set_title(f"A page that answers is {said}", loc="left", fontsize=10)
    langs, systems = report.langs(), list(report.outcomes)
    counts = {lang: report.scores(systems[0], lang).questions for lang in langs}
    panels[1].set_xticks(
        range(len(langs)), [f"{LANGUAGES.get(lang, lang)}, {counts[lang]} questions" for lang in langs]
    )
    figure.suptitle(
        f"{report.set}: {report.pages} pages, embedder {report.embedder} (lines: 95 % confidence)", fontsize=12
    )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(systems), frameon=False, fontsize=8.5)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the chart cannot be written to {path}: {error}") from None


def _bars(axes: Any, report: Report, name: str) -> None:
    """One panel; ``name``: a share among the scores."""
    langs, systems = report.langs(), list(report.outcomes)
    width = 0.84 / len(systems)
    for n, system in enumerate(systems):
        scores = [report.scores(system, lang) for lang in langs]
        values = [getattr(score, name) for score in scores]
        places = [group + (n - (len(systems) - 1) / 2) * width for group in range(len(langs))]
        axes.bar(
            places,
            values,
            width * 0.92,
            yerr=_margins(scores, values),
            color=COLORS.get(system),
            error_kw={"ecolor": "#475569", "elinewidth": 0.9, "capsize": 2},
            label=LABELS.get(system, system),
        )
        for place, value in zip(places, values, strict=True):
            axes.text(place, 0.02, f"{value:.2f}", ha="center", fontsize=8, color="#0f172a" if n else "white")
    axes.set_ylim(0, 1.04)
    axes.set_ylabel(name.replace("_at_", "@"))
    axes.grid(axis="y", color="#e2e8f0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _margins(scores: list[Scores], values: list[float]) -> list[list[float]]:
    """How far the confidence interval reaches below and above each bar."""
    ends = [share(value * score.questions, score.questions) for score, value in zip(scores, values, strict=True)]
    below = [max(0.0, value - found.low) for found, value in zip(ends, values, strict=True)]
    return [below, [max(0.0, found.high - value) for found, value in zip(ends, values, strict=True)]]
