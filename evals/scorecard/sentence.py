"""What the figures prove and do not prove, in plain words, in each language. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from evals.look.words import LANGUAGES
from evals.scorecard.results import Contrast, Difference, Score, Scorecard
from evals.scorecard.words import Words

MAIN = "facts_recalled"


def headline(card: Scorecard) -> dict[str, str]:
    """Of the first contrast, or of the one voice that there is; language -> text."""
    return {lang: _headline(card, Words(lang)) for lang in LANGUAGES}


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


def _main(card: Scorecard, contrast: Contrast, main: Difference, words: Words) -> str:
    return words(
        f"said.{main.verdict}",
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
    told.append(_general(card, words))
    return words("said.space").join([*told, words("limits.matching")])


def _general(card: Scorecard, words: Words) -> str:
    """Whether forgetting shows, between the models of the first contrast that has two: a trained one where there is."""
    if not card.abilities.suite:
        return words("general.none")
    for contrast in sorted(card.contrasts, key=lambda one: card.abilities.models[one.after] in ("", "base")):
        sides = [card.abilities.total[n] for n in (contrast.before, contrast.after)]
        models = [(card.abilities.models[n], card.columns[n].label) for n in (contrast.before, contrast.after)]
        if models[0] != models[1] and all(side.value is not None and side.of for side in sides):
            verdict, low, high = ability_change(sides)
            shown = {"first": words.percent(sides[0].value), "second": words.percent(sides[1].value)}
            shown |= {"before": words.before(card, contrast), "after": words.after(card, contrast)}
            return words(f"general.{verdict}", low=words.points(low, True), high=words.points(high, True), **shown)
    return words("general.one")


def ability_change(sides: Sequence[Score]) -> tuple[str, float, float]:
    """ "lost", "gained" or "open", with Newcombe's interval of the difference of two shares (Statistics in Medicine 17,
    1998, method 10)."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    counts = [round((side.value or 0.0) * side.of) for side in sides]
    low, high = confint_proportions_2indep(
        counts[1], sides[1].of, counts[0], sides[0].of, compare="diff", method="newcomb"
    )
    return ("lost" if high < 0 else "gained" if low > 0 else "open"), float(low), float(high)
