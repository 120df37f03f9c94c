"""Whether retrieved passages can answer a question at all: the decision to refuse.

A small logistic model: how much of what the question says stands in the passages, what nobody in the docs has ever
said, and how far the best passages stand out. Cosine similarity alone cannot tell (relevant and irrelevant scores
overlap); here it is one feature of several. Of a few pages other things can be believed than of many (that a word
stands nowhere says little where there are few words), so there are two sets of coefficients, mixed by the size of the
docs. `benchmarks/fit_refusals.py` fits both and prints precision and recall.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.lexical import Term, terms, tokenize
from rag.types import Passage

THRESHOLD = 0.5
TOP = 3
"""Passages whose words count together."""

HALF = 50
"""Chunks at which both sets of coefficients count the same."""

_BM25_SCALE = 0.684
"""... of BM25's weight of a word that stands in one chunk only, which grows with the logarithm of the chunks."""


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
    """All in about [0, 1]; coverage is weighted by how much each term tells."""

    best: float  # most of the question found in one passage
    together: float  # ... in the first TOP passages
    unknown: float  # share of the question that stands nowhere in the docs
    identifiers: float  # identifiers of the question that the passages lack (share of the weight)
    bm25: float  # first BM25 score against the sum of the terms' weights, squashed
    gap: float  # how far the first BM25 score stands above the mean of the rest
    dense: float  # best cosine similarity, 0 for a language the embedder does not know
    dense_gap: float  # ... above the mean of the passages
    foreign: float  # 1 where the embedder does not know the language


MANY: Mapping[str, float] = {
    "intercept": -3.126,
    "best": 2.625,
    "together": -0.812,
    "unknown": -1.465,
    "identifiers": -3.209,
    "bm25": 5.781,
    "gap": -0.828,
    "dense": 2.826,
    "dense_gap": 2.287,
    "foreign": 1.753,
}
FEW: Mapping[str, float] = {
    "intercept": -3.792,
    "best": 5.698,
    "together": -0.372,
    "unknown": -0.377,
    "identifiers": -5.553,
    "bm25": 9.046,
    "gap": 0.11,
    "dense": 4.953,
    "dense_gap": 2.257,
    "foreign": 2.043,
}


def judge(
    query: str, passages: Sequence[Passage], weights: Mapping[str, float], knows: bool, chunks: int
) -> Answerability:
    """The verdict. ``weights``: HybridRetriever.term_weights; ``knows``: whether the embedder knows the language;
    ``chunks``: of the docs."""
    if not passages:
        return Answerability(False, 0.0, "nothing was found")
    found = features(query, passages, weights, knows, chunks)
    score = probability(found, chunks)
    missing = _missing(query, passages, weights)
    covered = f"{round(100 * found.together)} % of the question's words are in the best passages"
    lacking = f"; not there: {', '.join(missing)}" if missing else ""
    return Answerability(score >= THRESHOLD, score, covered + lacking, found)


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
    weight = {term.token: max(weights.get(term.token, 1.0), 0.05) for term in asked}
    total = sum(weight.values()) or 1.0
    texts = [_words(passage) for passage in passages]
    together = set().union(*texts[:TOP])

    def share(present: set[str]) -> float:
        return sum(value for token, value in weight.items() if token in present) / total

    lexical = sorted((passage.why.bm25_score for passage in passages), reverse=True)
    dense = [passage.why.dense_score for passage in passages if passage.why.dense_rank] if knows else []
    rest = sum(lexical[1:]) / max(1, len(lexical) - 1)
    ids = {term.token for term in asked if term.kind == "identifier"}
    return Features(
        best=max(share(text) for text in texts),
        together=share(together),
        unknown=sum(value for token, value in weight.items() if weights.get(token, 1.0) >= 1.0) / total,
        identifiers=sum(weight[token] for token in ids - together) / total,
        bm25=math.tanh(lexical[0] / total * _BM25_SCALE / math.log(1 + (chunks - 0.5) / 1.5)),
        gap=(lexical[0] - rest) / lexical[0] if lexical[0] else 0.0,
        dense=max(dense, default=0.0),
        dense_gap=max(dense) - sum(dense) / len(dense) if dense else 0.0,
        foreign=0.0 if knows else 1.0,
    )


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
