"""The worst questions on the page, both answers side by side, the facts that they do not say marked. Pure."""

from __future__ import annotations

from html import escape

from evals.scorecard import pictures
from evals.scorecard.results import Scorecard, Side, Worst
from evals.scorecard.words import Words
from evals.scorecard.worst import SHOWN


def section(card: Scorecard, words: Words) -> str:
    title = words("worst" if len(card.worst) == SHOWN else "worst.few")
    how = words("worst.how" if card.worst else "worst.none")
    cards = "".join(_question(found, card, words) for found in card.worst)
    return f'<section><h2>{escape(title)}</h2><p class="dr-how">{escape(how)}</p>{cards}</section>'


def _question(found: Worst, card: Scorecard, words: Words) -> str:
    tags = words.tags(found)
    sides = "".join(_side(side, card, words) for side in found.sides)
    return (
        f'<div class="ds-worst"><h3 dir="auto">{escape(found.question)}</h3>'
        f'<p class="dr-meta">{escape(" · ".join(tags))}</p><div class="ds-sides">{sides}</div></div>'
    )


def _side(side: Side, card: Scorecard, words: Words) -> str:
    column = card.columns[side.column]
    badges = "".join(f"<span>{escape(text)}</span>" for text in words.badges(side))
    missing = "".join(f'<li dir="auto">{escape(text)}</li>' for text in side.missing)
    missing = f'<h4>{escape(words("missing"))}</h4><ul class="ds-missing">{missing}</ul>' if missing else ""
    cited = words.joined(list(side.sources))
    cited = f'<p class="dr-meta">{escape(words("sources"))}: {escape(cited)}</p>' if cited else ""
    return (
        f'<div class="ds-side"><div class="ds-badges">{pictures.chip(column)}'
        f"<b>{escape(words.column(column))}</b>{badges}</div>"
        f'<blockquote dir="auto">{escape(side.answer or words("answer.none"))}</blockquote>{missing}{cited}</div>'
    )
