"""What the figures prove and do not prove, in plain words, in each language. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from evals.look.words import LANGUAGES
from evals.scorecard.results import AbilityChange, Contrast, Difference, Scorecard
from evals.scorecard.words import Words

MAIN = "facts_recalled"
MOST_PEERS = 4
"""Voices that are held against quoting at the top of the page; all are further down."""


def headline(card: Scorecard) -> dict[str, str]:
    """Of the first contrast, or of the one voice that there is; language -> text."""
    return {lang: _headline(card, Words(lang)) for lang in LANGUAGES}


def peer(card: Scorecard) -> dict[str, str]:
    """Whether models beat quoting the docs, those of the newest run first; language -> text, "" where the headline says
    it or no run of the quoting mode is there."""
    against = [c for c in card.contrasts[1:] if card.columns[c.before].quoting and not card.columns[c.after].quoting]
    against = against[:MOST_PEERS]
    return {lang: _peer(card, against, Words(lang)) for lang in LANGUAGES}


def limits(card: Scorecard) -> dict[str, str]:
    """What they do not prove; language -> text."""
    return {lang: _limits(card, Words(lang)) for lang in LANGUAGES}


def _headline(card: Scorecard, words: Words) -> str:
    if not card.contrasts:
        score, column = card.all.scores[MAIN][0], card.columns[0]
        if score.value is None:
            return words("said.none")
        shown = {
            "value": words.percent(score.value),
            "low": words.percent(score.low),
            "high": words.percent(score.high),
        }
        return words("said.one", name=words.column(column), n=score.of, **shown)
    return said(card, card.contrasts[0], words)


def said(card: Scorecard, contrast: Contrast, words: Words) -> str:
    """What one contrast proves."""
    main = contrast.of(MAIN)
    told = [_main(card, contrast, main, words)] if main else []
    others = [one for one in contrast.differences if one is not main]
    for verdict in ("better", "worse"):
        names = [one.measure for one in others if one.verdict == verdict]
        also = "also" if main and main.verdict == verdict else "more"
        if names:
            told.append(words(f"said.{also}.{verdict}", name=words.after(card, contrast), names=words.measures(names)))
    if not any(one.verdict in ("better", "worse") for one in others):
        told.append(words("said.also.none" if main else "said.nothing"))
    return words("said.space").join(told)


def _peer(card: Scorecard, against: Sequence[Contrast], words: Words) -> str:
    told = [_main(card, one, main, words, "peer") for one in against if (main := one.of(MAIN))]
    return words("said.space").join(told)


def _main(card: Scorecard, contrast: Contrast, main: Difference, words: Words, kind: str = "said") -> str:
    return words(
        f"{kind}.{main.verdict}",
        before=words.before(card, contrast),
        after=words.after(card, contrast),
        first=words.percent(main.before),
        second=words.percent(main.after),
        points=words.points(abs(main.value) if main.verdict != "open" else main.value, signed=main.verdict == "open"),
        low=words.points(
            min(abs(main.low), abs(main.high)) if main.verdict != "open" else main.low, main.verdict == "open"
        ),
        high=words.points(
            max(abs(main.low), abs(main.high)) if main.verdict != "open" else main.high, main.verdict == "open"
        ),
        n=main.of,
    )


def _limits(card: Scorecard, words: Words) -> str:
    told = [words("limits.questions", n=card.all.questions, set=words.joined(sorted({c.set for c in card.columns})))]
    if not all(column.quoting for column in card.columns):  # the quoting mode has nothing to forget
        told.append(_general(card, words))
    return words("said.space").join([*told, words("limits.matching")])


def _general(card: Scorecard, words: Words) -> str:
    """Whether forgetting shows, between two models that are compared: a trained one where there is."""
    if not card.abilities.suite:
        return words("general.none")
    if card.abilities.changes:
        return ability(card, card.abilities.changes[0], words)
    sides = [(contrast.before, contrast.after) for contrast in card.contrasts]
    several = any(
        all(card.abilities.total[n].value is not None for n in pair)
        and (card.abilities.models[pair[0]], card.columns[pair[0]].label)
        != (card.abilities.models[pair[1]], card.columns[pair[1]].label)
        for pair in sides
    )
    return words("general.unpaired" if several else "general.one")


def ability(card: Scorecard, change: AbilityChange, words: Words) -> str:
    """What became of general ability from one model to another."""
    return words(
        f"general.{change.verdict}",
        before=words.column(card.columns[change.before]),
        after=words.column(card.columns[change.after]),
        first=words.percent(change.first),
        second=words.percent(change.second),
        low=words.points(change.low, signed=True),
        high=words.points(change.high, signed=True),
        won=change.gained,
        lost=change.lost,
        n=change.of,
    )
