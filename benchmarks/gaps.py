"""Gaps in the docs: are questions grouped by what they ask, and how long does it take? Prints both.

    python benchmarks/gaps.py                 # serving/ops/topics.py beside other ways, and 2,000 questions timed

Groups: the hand-written topics of gap_topics.toml among the questions of the ms-swift set, each of another thing.
Precision: of the pairs of questions that were put together, how many belong together; recall: of those that belong
together, how many were. A topic split in two costs a glance, two topics in one mislead: precision comes first.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from evals.questions import load_set
from rag.embed import BUNDLED, load_embedder
from serving.ops import topics

HERE = Path(__file__).parent
MANY = 2000


def main() -> None:
    written = tomllib.loads((HERE / "gap_topics.toml").read_text(encoding="utf-8"))
    others = load_set("ms-swift-docs").questions
    embedder = load_embedder(BUNDLED)
    for lang, groups in written.items():
        texts = [text for group in groups.values() for text in group]
        gold = [name for name, group in groups.items() for _ in group]
        alone = [question.question for question in others if question.lang == lang]
        texts, gold = texts + alone, gold + [f"alone {number}" for number in range(len(alone))]
        vectors = embedder.documents(texts) if lang in embedder.langs else None
        print(f"\n{lang}: {len(groups)} topics of {len(texts) - len(alone)} questions, {len(alone)} others")
        print("| grouped by | limit | topics | precision | recall |\n|---|---:|---:|---:|---:|")
        for name, limit, labels in ways(texts, vectors):
            precision, recall = pairs(gold, labels)
            print(f"| {name} | {limit} | {len(set(labels))} | {100 * precision:.0f} | {100 * recall:.0f} |")
    timed(embedder, [question.question for question in others])


def ways(texts: Sequence[str], vectors: Any) -> Any:
    """(name, limit, labels) of each way to group."""
    mixed = [0.0] if vectors is None else [0.0, 0.5, 0.7, 0.85, 1.0]
    for meaning in mixed:
        distances = topics.apart(texts, vectors if meaning else None, meaning)
        for limit in (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94):
            yield f"average linkage, meaning {meaning}", limit, labelled(topics.grouped(distances, limit), len(texts))
    yield from dense(topics.apart(texts, vectors))
    yield "shared words (Jaccard)", 0.6, jaccard(texts, 0.6)
    yield "shared words (Jaccard)", 0.3, jaccard(texts, 0.3)


def dense(distances: Any) -> Any:
    """HDBSCAN; what it calls noise is alone."""
    from sklearn.cluster import HDBSCAN

    for size in (2, 3):
        found = HDBSCAN(min_cluster_size=size, metric="precomputed", copy=True).fit_predict(distances.astype(float))
        yield "HDBSCAN, at least", size, [label if label >= 0 else -1 - at for at, label in enumerate(found)]


def jaccard(texts: Sequence[str], limit: float) -> list[int]:
    """Each joins the first group whose first question shares so many of its words: how it was done before."""
    from rag.lexical import tokenize

    first: list[frozenset[str]] = []
    labels = []
    for text in texts:
        own = frozenset(tokenize(text))
        found = next((at for at, one in enumerate(first) if len(own & one) >= limit * len(own | one)), len(first))
        first += [own] if found == len(first) else []
        labels.append(found)
    return labels


def labelled(groups: Sequence[Sequence[int]], count: int) -> list[int]:
    of = {number: label for label, group in enumerate(groups) for number in group}
    return [of[number] for number in range(count)]


def pairs(gold: Sequence[str], labels: Sequence[int]) -> tuple[float, float]:
    """Precision and recall over pairs."""
    both = [(gold[a] == gold[b], labels[a] == labels[b]) for a, b in combinations(range(len(gold)), 2)]
    right = sum(belong and put for belong, put in both)
    return right / max(1, sum(put for _, put in both)), right / max(1, sum(belong for belong, _ in both))


def timed(embedder: Any, questions: Sequence[str]) -> None:
    """2,000 different questions, made of the set's by putting two together."""
    made = [f"{a} {b}"[:200] for a, b in combinations(questions, 2)][:: max(1, 20_000 // MANY)][:MANY]
    known = [text.isascii() for text in made]
    spent: dict[str, float] = {}

    def clocked(name: str, call: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = call()
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
        return result

    found = clocked(
        "all", lambda: topics.topics(made, known, lambda texts: clocked("embedding", lambda: embedder.documents(texts)))
    )
    print(f"\n{len(made)} questions: {len(found)} topics in {spent['all']:.1f} s, embedding {spent['embedding']:.1f} s")


if __name__ == "__main__":
    main()
