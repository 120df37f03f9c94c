"""What the votes prove and do not prove yet, in one sentence per language. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from evals.report.pairs import verdict_interval
from evals.report.results import Pair, Slice
from evals.report.stats import FEWEST_USERS, LEVEL
from evals.report.words import LANGUAGES, Words

NAMED = ("in_docs", "lang")
"""Slices that the sentence names where they prove nothing yet."""


def headline(pairs: Sequence[Pair], narrowed: bool = False) -> dict[str, str]:
    """The sentence of the pair with the most votes (the first); language -> sentence. ``narrowed``: not all votes."""
    none = "said.none_here" if narrowed else "said.none"
    return dict(pairs[0].sentence) if pairs else {lang: Words(lang)(none) for lang in LANGUAGES}


def sentence_of(pair: Pair) -> dict[str, str]:
    """Language -> sentence."""
    return {lang: _sentence(pair, Words(lang)) for lang in LANGUAGES}


def _sentence(pair: Pair, words: Words) -> str:
    first, second = (words.named("voice", arm) for arm in pair.arms)
    low, high = verdict_interval(pair.counts.win_rate, pair.by_user)
    share = pair.counts.win_rate.value
    votes = pair.counts.votes - pair.counts.both_bad
    if not votes:
        return words("said.both_bad", first=first, second=second, votes=f"{pair.counts.votes:,}")
    if pair.verdict in ("open", "even"):
        more = words("more.one" if pair.needed.more == 1 else "more.many", count=f"{pair.needed.more:,}")
        shown = {"share": words.percent(share), "low": words.percent(low), "high": words.percent(high)}
        return words(f"said.{pair.verdict}", first=first, second=second, votes=f"{votes:,}", more=more, **shown)
    if pair.verdict == "second":
        first, second, share, low, high = second, first, 1 - (share or 0.0), 1 - high, 1 - low
    shown = {"share": words.percent(share), "low": words.percent(low), "high": words.percent(high)}
    proven = words("said.prove", winner=first, loser=second, votes=f"{votes:,}", **shown)
    return f"{proven}{_unproven(pair, words)}{'.' if words.lang == 'en' else '。'}"


def _unproven(pair: Pair, words: Words) -> str:
    """What a proven preference leaves open: other people first, then kinds of questions."""
    if pair.by_user is None:
        return words("said.few_people", users=FEWEST_USERS)
    parts = [part for name in NAMED for part in pair.slices.get(name, ()) if not proves(pair, part)]
    if not parts:
        return words("said.all_parts")
    told = [words("part", part=words.named("asked", part.value), votes=f"{part.counts.votes:,}") for part in parts]
    return words("said.not_yet", parts=words("list").join(told))


def proves(pair: Pair, part: Slice) -> bool:
    """Whether the votes of a slice prove what all votes do, though many slices were looked at."""
    rate = part.counts.win_rate
    return part.p_holm < 1 - LEVEL and (rate.low > 0.5 if pair.verdict == "first" else rate.high < 0.5)
