"""Questions that ask for the same thing, found by clustering. Pure.

Two questions are near when their vectors are, as the index's own embedder gives them, and when they share telling words
(TF-IDF over the terms of the lexical search). Average-linkage clustering joins the nearest until what is left lies
farther apart than ``APART``; the number of topics is nobody's guess. Questions in a language that the embedder does not
know are told apart by their words alone, and stand in topics of their own. What the constants rest on:
`benchmarks/gaps.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.embed import Vectors
from rag.lexical import terms

APART = 0.65
"""Mean distance (1 - similarity) at which two groups of questions are two topics ..."""

APART_BY_WORDS = 0.7
"""... and where words alone tell."""

MEANING = 0.7
"""Weight of the vectors in the similarity; the rest is shared words."""

LONGEST = 500
"""Characters of a question that count."""

NAMED = 4
"""Words that name a topic, at most."""

Distances = NDArray[np.float32]


@dataclass(frozen=True)
class Topic:
    """``members``: numbers of the questions; the first is the one nearest the centre. ``words``: what is said in this
    topic and not in others."""

    members: tuple[int, ...]
    words: tuple[str, ...]


def topics(texts: Sequence[str], known: Sequence[bool], embed: Callable[[Sequence[str]], Vectors]) -> list[Topic]:
    """The topics of ``texts``, the largest first. ``known``: whether the embedder knows a text's language; ``embed``:
    vectors of length 1."""
    cut = [text[:LONGEST] for text in texts]
    found: list[list[int]] = []
    for side in (True, False):
        numbers = [number for number, knows in enumerate(known) if knows is side]
        if numbers:
            own = [cut[number] for number in numbers]
            distances = apart(own, embed(own) if side else None)
            limit = APART if side else APART_BY_WORDS
            found += [[numbers[place] for place in group] for group in grouped(distances, limit)]
    named = _named(cut, found)
    order = sorted(range(len(found)), key=lambda at: (-len(found[at]), found[at][0]))
    return [Topic(tuple(found[at]), named[at]) for at in order]


def apart(texts: Sequence[str], vectors: Vectors | None, meaning: float = MEANING) -> Distances:
    """How far each text is from each, 0 to 1, shape (texts, texts). ``vectors``: None where words alone tell."""
    shared = _by_words(texts)
    weighed = shared if vectors is None else meaning * (vectors @ vectors.T) + (1 - meaning) * shared
    distances = np.clip(1 - weighed, 0, 1).astype(np.float32)
    np.fill_diagonal(distances, 0)
    return distances


def grouped(distances: Distances, limit: float) -> list[list[int]]:
    """Clusters whose mean distances are below ``limit``; in each the text nearest the others comes first."""
    from sklearn.cluster import AgglomerativeClustering

    count = len(distances)
    if count == 1:
        return [[0]]
    clustering = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=limit)
    labels = clustering.fit_predict(distances)
    groups: list[list[int]] = [[] for _ in range(int(labels.max()) + 1)]
    for number, label in enumerate(labels):
        groups[label].append(number)
    return [_centre_first(group, distances) for group in groups]


def _centre_first(group: list[int], distances: Distances) -> list[int]:
    inside = distances[np.ix_(group, group)].sum(axis=1)
    centre = group[int(inside.argmin())]
    return [centre, *(number for number in group if number != centre)]


def _by_words(texts: Sequence[str]) -> Any:
    """Cosine similarities of the texts' TF-IDF vectors."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        weights = TfidfVectorizer(analyzer=_tokens, sublinear_tf=True, dtype=np.float32).fit_transform(texts)
    except ValueError:  # no text has a word
        return np.zeros((len(texts), len(texts)), np.float32)
    return (weights @ weights.T).toarray()


def _tokens(text: str) -> list[str]:
    return [term.token for term in terms(text)]


def _named(texts: Sequence[str], groups: Sequence[Sequence[int]]) -> list[tuple[str, ...]]:
    """For each group its distinctive words, as its questions spell them: class-based TF-IDF (Grootendorst 2022,
    arXiv 2203.05794), in which a group is one document."""
    from sklearn.feature_extraction.text import CountVectorizer

    words = [[_words(texts[number]) for number in group] for group in groups]
    spelled = {token: spelling for group in words for said in group for token, spelling in said.items()}
    documents = [[token for said in group for token in said] for group in words]
    try:
        vectorizer = CountVectorizer(analyzer=list)
        counts = vectorizer.fit_transform(documents).astype(np.float32)
    except ValueError:
        return [() for _ in groups]
    names = vectorizer.get_feature_names_out()
    often = np.asarray(counts.sum(axis=0)).ravel()
    weights = counts.multiply(np.log1p(counts.sum() / len(groups) / often)).tocsr()
    found = []
    for row in range(len(groups)):
        entry = weights[row]
        best = entry.indices[np.lexsort((names[entry.indices], -entry.data))]
        found.append(tuple(spelled[names[column]] for column in best[:NAMED]))
    return found


def _words(text: str) -> dict[str, str]:
    """Token -> how it is spelled, of whole words and identifiers."""
    return {
        term.token: text[term.start : term.end].lower() if term.kind == "word" else text[term.start : term.end]
        for term in terms(text)
        if term.kind in ("word", "identifier") and term.end - term.start > 1
    }
