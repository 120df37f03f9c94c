"""Whether retrieved passages can answer a question at all: quoting mode's decision to refuse.

A small logistic model: how much of what the question says stands in a passage, what nobody in the docs has ever said
(names above all), how near the best passages come, and whether they are of one page: what the docs do hold is mostly
told in one place, and what they do not hold is touched upon here and there. Cosine similarity alone cannot tell
(relevant and irrelevant scores overlap); here it is one feature of several. Of a few pages other things can be believed
than of many (that a word stands nowhere says little where there are few words), so there are two sets of coefficients,
mixed by the size of the docs. `benchmarks/fit_refusals.py` fits both and prints precision and recall.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from data.lang import detect_lang
from rag.lexical import Term, terms, tokenize
from rag.types import Passage

THRESHOLD = 0.5
"""What [rag] refuse_below is by default."""

JUDGED = 6
"""Passages that are looked at, however many were found: what the coefficients were fitted on."""

TOP = 3
"""Passages whose words count together."""

HALF = 50
"""Chunks at which both sets of coefficients count the same."""

_BM25_SCALE = 0.684
"""... of BM25's weight of a word that stands in one chunk only, which grows with the logarithm of the chunks."""

_GAP = re.compile(r"[\W_]*")


@dataclass(frozen=True)
class Answerability:
    """``score``: probability that the passages answer the question, 0 to 1; ``reason``: one line for people;
    ``evidence``: what it was decided by, None where nothing was found."""

    answerable: bool
    score: float
    reason: str
    evidence: Features | None = None


@dataclass(frozen=True)
class Features:
    """All in about [0, 1]; shares are weighted by how much each term tells."""

    best: float  # most of the question found in one passage
    unknown: float  # share of the question that stands nowhere in the docs
    strangers: float  # names of the question that stand nowhere in the docs: tanh of how many
    identifiers: float  # identifiers of the question that the first TOP passages lack (share of the weight)
    bm25: float  # first BM25 score against the sum of the terms' weights, squashed
    dense: float  # best cosine similarity, 0 for a language the embedder does not know
    dense_gap: float  # ... above the mean of the passages
    focus: float  # share of the passages that are of the first one's page
    foreign: float  # 1 where the embedder does not know the language


MANY: Mapping[str, float] = {
    "intercept": -3.628,
    "best": 2.243,
    "unknown": -1.286,
    "strangers": -3.235,
    "identifiers": -1.509,
    "bm25": 5.553,
    "dense": 3.545,
    "dense_gap": 1.662,
    "focus": 1.922,
    "foreign": 1.858,
}
FEW: Mapping[str, float] = {
    "intercept": -2.167,
    "best": 3.916,
    "unknown": -1.141,
    "strangers": -1.161,
    "identifiers": -5.549,
    "bm25": 8.379,
    "dense": 6.654,
    "dense_gap": 2.206,
    "focus": 0.189,
    "foreign": 2.426,
}


def judge(
    query: str,
    passages: Sequence[Passage],
    weights: Mapping[str, float],
    knows: bool,
    chunks: int,
    threshold: float = THRESHOLD,
) -> Answerability:
    """The verdict. ``weights``: HybridRetriever.term_weights; ``knows``: whether the embedder knows the language;
    ``chunks``: of the docs; ``threshold``: the smallest score that is answerable."""
    if not passages:
        return Answerability(False, 0.0, "nothing was found")
    found = features(query, passages, weights, knows, chunks)
    score = probability(found, chunks)
    missing = _missing(query, passages, weights)
    covered = f"{round(100 * _together(query, passages, weights))} % of the question's words are in the best passages"
    lacking = f"; not there: {', '.join(missing)}" if missing else ""
    return Answerability(score >= threshold, score, covered + lacking, found)


def probability(found: Features, chunks: int) -> float:
    """That docs of so many chunks answer the question."""
    few = share_of_few(chunks)
    total = few * _logit(FEW, found) + (1 - few) * _logit(MANY, found)
    return 1 / (1 + math.exp(-total))


def share_of_few(chunks: int) -> float:
    """How far docs count as few: 1 for none, 1/2 at HALF chunks."""
    return HALF / (HALF + chunks)


def _logit(coefficients: Mapping[str, float], found: Features) -> float:
    return coefficients["intercept"] + sum(coefficients[name] * value for name, value in vars(found).items())


def features(
    query: str, passages: Sequence[Passage], weights: Mapping[str, float], knows: bool, chunks: int
) -> Features:
    asked = _asked(query)
    weight = _telling(asked, weights)
    total = sum(weight.values()) or 1.0
    texts = [_words(passage) for passage in passages]
    unknown = {token for token in weight if weights.get(token, 1.0) >= 1.0}
    names = {term.token for term in asked if _is_name(term, query)}
    ids = {term.token for term in asked if term.kind == "identifier"} - set().union(*texts[:TOP])
    lexical = max(passage.why.bm25_score for passage in passages)
    dense = [passage.why.dense_score for passage in passages if passage.why.dense_rank] if knows else []
    return Features(
        best=max(_share(weight, text) for text in texts),
        unknown=_share(weight, unknown),
        strangers=math.tanh(len(names & unknown)),
        identifiers=_share(weight, ids),
        bm25=math.tanh(lexical / total * _BM25_SCALE / math.log(1 + (chunks - 0.5) / 1.5)),
        dense=max(dense, default=0.0),
        dense_gap=max(dense) - sum(dense) / len(dense) if dense else 0.0,
        focus=sum(passage.page_id == passages[0].page_id for passage in passages) / len(passages),
        foreign=0.0 if knows else 1.0,
    )


def _telling(asked: Sequence[Term], weights: Mapping[str, float]) -> dict[str, float]:
    """Token -> how much it tells; a word that stands everywhere tells a little, too."""
    return {term.token: max(weights.get(term.token, 1.0), 0.05) for term in asked}


def _share(weight: Mapping[str, float], tokens: Collection[str]) -> float:
    return sum(value for token, value in weight.items() if token in tokens) / (sum(weight.values()) or 1.0)


def _together(query: str, passages: Sequence[Passage], weights: Mapping[str, float]) -> float:
    return _share(_telling(_asked(query), weights), set().union(*map(_words, passages[:TOP])))


def _is_name(term: Term, query: str) -> bool:
    """Identifiers; a capital inside a sentence; in a Chinese question, whatever is not Chinese."""
    word = query[term.start : term.end]
    if term.kind == "identifier" or not word.isascii():
        return term.kind == "identifier"
    if not query.isascii() and detect_lang(query) == "zh":
        return True
    return word[0].isupper() and len(word) > 1 and not _begins(query[: term.start])


def _begins(before: str) -> bool:
    """Whether a sentence begins behind this. Read backwards: a search takes the square of the time."""
    gap = _GAP.match(before[::-1])
    return gap is not None and (gap.end() == len(before) or not set(".!?:\n").isdisjoint(gap.group()))


def _asked(query: str) -> list[Term]:
    """What the question is about: words and whole identifiers; parts and pairs would count the same thing twice."""
    found = [term for term in terms(query) if term.kind in ("word", "identifier")]
    return found or list(terms(query))


def _words(passage: Passage) -> set[str]:
    return set(tokenize("\n".join([passage.title, *passage.heading_path, passage.text])))


def _missing(query: str, passages: Sequence[Passage], weights: Mapping[str, float]) -> list[str]:
    """The question's telling words, as it spells them, that stand in none of the first passages."""
    present = set().union(*(_words(passage) for passage in passages[:TOP]))
    absent = [term for term in _asked(query) if term.token not in present]
    absent.sort(key=lambda term: -weights.get(term.token, 1.0))
    return list(dict.fromkeys(query[term.start : term.end] for term in absent))[:4]
