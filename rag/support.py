"""Whether passages say what a sentence of an answer says.

A sentence and the passage that it may come from are compared by their words: how much of what the sentence says stands
close together in the passage. A number, an identifier or a code span that the passage lacks is never supported, however
alike the rest is. A small logistic model weighs the rest: names that are missing, a negation that only one of the two
has. `benchmarks/fit_support.py` fits it and prints precision and recall, also of what an embedder would add.

Nothing here understands a sentence: a claim in words of its own may be missed, and one that only rearranges the
passage's words may pass. Pure but for jieba's dictionary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from data.sentences import claims
from rag.lexical import stem, terms, tokenize

THRESHOLD = 0.5
"""Probability from which a sentence counts as supported."""

COEFFICIENTS: Mapping[str, float] = {
    "intercept": -3.082,
    "near": 5.019,
    "apart": -4.692,
    "names": -15.141,
    "negation": -2.734,
}

_NUMBER = re.compile(r"(?<![A-Za-z_\d.])\d+(?:[.,]\d+)*")
_CODE = re.compile(r"`+([^`]+)`+")
_CODEY = re.compile(r"[_./\\:=]|--|[A-Za-z]\d|\d[A-Za-z]")
_MARKER = re.compile(r"\s?\[\d{1,3}\]")
_NAME = re.compile(r"(?<![.!?:*|>\-] )(?<!^)\b[A-Z][A-Za-z]{2,}\b|\b[A-Za-z]*[a-z][A-Z][A-Za-z]*\b")
_NEGATION = re.compile(
    r"\b(?:not|no|never|cannot|without|unable|neither|nor)\b|n['’]t\b|不(?![同仅断论管过久少])|没有?|无(?!论)法?|未|勿|禁止",
    re.IGNORECASE,
)
_COUNTED = (
    "two 二 两",
    "three 三",
    "four 四",
    "five 五",
    "six 六",
    "seven 七",
    "eight 八",
    "nine 九",
    "ten 十",
)
_WORDS = {word: str(number) for number, words in enumerate(_COUNTED, start=2) for word in words.split()}
_ENGLISH = "|".join(word for word in _WORDS if word.isascii())
_CHINESE = "(?<!第)[二两三四五六七八九十](?=[个次种条页段天秒分小年月日倍项步台块])"
_NUMERAL = re.compile(rf"\b(?:{_ENGLISH})\b|{_CHINESE}", re.IGNORECASE)
"""Two to ten in words; "one" counts nothing more often than not."""


@dataclass(frozen=True)
class Support:
    """The source that supports a sentence best: its place among those that were given, and the probability."""

    source: int
    score: float

    @property
    def supported(self) -> bool:
        return self.score >= THRESHOLD


@dataclass(frozen=True)
class Features:
    """All in [0, 1]; shares are weighted by how much each word tells."""

    near: float  # most of the sentence's words that stand within three neighbouring sentences of the source
    apart: float  # 1 where its numbers and identifiers do not stand together in three neighbouring sentences
    names: float  # how much that name tells, of those which the source lacks, that tells most; 0 where it lacks none
    negation: float  # where only one of sentence and source says no: how alike the two are, else 0


class Source:
    """A text that may support sentences, taken apart once. ``context``: title and headings above it."""

    def __init__(self, text: str, context: str = "") -> None:
        whole = f"{context}\n{text}"
        self.text = whole.casefold()
        self.numbers = numbers(whole)
        around = frozenset(tokenize(context))
        pieces = [text[span.start : span.end] for span in claims(text)] or [text]
        self.sentences = [around.union(tokenize(piece)) for piece in pieces]
        self.negated = [bool(_NEGATION.search(piece)) for piece in pieces]
        near = [slice(max(0, at - 1), at + 2) for at in range(len(pieces))]
        self.windows = [frozenset().union(*self.sentences[part]) for part in near]
        """Three neighbouring sentences each, with what the headings say."""
        self._near = [f"{context}\n" + "\n".join(pieces[part]) for part in near]

    def together(self, exact: frozenset[str], counted: frozenset[str]) -> bool:
        """Whether one window holds all these identifiers and numbers."""
        return any(
            all(word in window.casefold() for word in exact) and counted <= numbers(window) for window in self._near
        )


@lru_cache(maxsize=512)
def source_of(text: str, context: str = "") -> Source:
    """The same, remembered: answers to other questions come from the same passages."""
    return Source(text, context)


@dataclass(frozen=True)
class Claim:
    """A sentence, taken apart. ``weights``: token -> how much it tells; ``exact``: what must stand as it is."""

    tokens: tuple[str, ...]
    weights: Mapping[str, float]
    numbers: frozenset[str]
    exact: frozenset[str]
    names: Mapping[str, float]
    negated: bool


Weigh = Callable[[str], Mapping[str, float]]
"""The weights of a text's terms (HybridRetriever.term_weights)."""


def claim_of(sentence: str, weigh: Weigh, code: bool = False) -> Claim | None:
    """What a sentence claims; None when it has no word that could be looked for."""
    text = _MARKER.sub("", sentence)
    counted = numbers(text) | _WORDS.keys()  # compared as numbers: "3" is there where "three" is
    tokens = tuple(term.token for term in terms(text) if term.kind != "part" and term.token not in counted)
    if not tokens:
        return None
    weights = weigh(text)
    said = {token: max(weights.get(token, 1.0), 0.05) for token in tokens}
    names = {name.casefold(): said.get(stem(name.casefold()), 0.0) for name in _NAME.findall(text) if not code}
    negated = bool(_NEGATION.search(text)) and not code
    return Claim(tokens, said, numbers(text), _exact(text), names, negated)


def numbers(text: str) -> frozenset[str]:
    """The numbers of a text: digits without separators of thousands, and two to ten in words."""
    digits = {re.sub(r",(?=\d{3}\b)", "", number) for number in _NUMBER.findall(text)}
    return frozenset(digits | {_WORDS[word.lower()] for word in _NUMERAL.findall(text)})


def _exact(text: str) -> frozenset[str]:
    """Code spans and identifiers, which must stand in a source as they are; a hyphenated word of prose need not."""
    inside = {code.strip().casefold() for code in _CODE.findall(text)}
    found = (text[term.start : term.end] for term in terms(text) if term.kind == "identifier")
    return frozenset(inside | {word.casefold() for word in found if _CODEY.search(word)})


def features(claim: Claim, source: Source) -> Features | None:
    """How a sentence and a source compare; None when the source lacks one of its numbers or identifiers."""
    if claim.numbers - source.numbers or any(word not in source.text for word in claim.exact):
        return None
    total = sum(claim.weights.values())

    def share(present: frozenset[str]) -> float:
        return sum(weight for token, weight in claim.weights.items() if token in present) / total

    single = [share(sentence) for sentence in source.sentences]
    pinned = claim.exact or claim.numbers
    best = max(range(len(single)), key=single.__getitem__)
    return Features(
        near=max(share(window) for window in source.windows),
        apart=0.0 if not pinned or source.together(claim.exact, claim.numbers) else 1.0,
        names=max((weight for name, weight in claim.names.items() if name not in source.text), default=0.0),
        negation=single[best] if claim.negated != source.negated[best] else 0.0,
    )


def probability(found: Features | None) -> float:
    """That the source supports the sentence."""
    if found is None:
        return 0.0
    total = COEFFICIENTS["intercept"] + sum(COEFFICIENTS[name] * value for name, value in vars(found).items())
    return 1 / (1 + math.exp(-total))


def best_support(claim: Claim, sources: Sequence[Source]) -> Support:
    """The source that supports a sentence best. ``sources`` must not be empty; the first of equals wins."""
    scores = [probability(features(claim, source)) for source in sources]
    best = max(range(len(scores)), key=scores.__getitem__)
    return Support(best, round(scores[best], 4))
