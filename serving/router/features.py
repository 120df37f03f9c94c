"""What speaks for one voice or another, in numbers: cheap, computed from the one search that the answer needs anyway.

Pure but for the pages' hashes, which are read from the index. Every feature lies in about [0, 1], so that the fitted
coefficients (model.py) can be compared. The decision is decide.py's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rag.answerable import JUDGED
from rag.answerable import Features as Evidence
from serving.arms.retrieval import Found
from serving.arms.turn import Turn
from serving.router.rules import exact_names, labels_named

Features = Mapping[str, float]

KINDS: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        "compare": r"\b(?:difference|versus|vs|compared?|better|rather than|instead of)\b"
        r"|区别|对比|比较|哪个好|不同|差别|还是",
        "trouble": r"\b(?:errors?|fail(?:s|ed|ing|ure)?|crash\w*|broken|stuck|hangs?|not work\w*"
        r"|(?:does|do|is|ca|wo)n['’]?t|cannot|exception|traceback|wrong)\b|报错|失败|崩溃|无法|不能|卡住|出错|异常|没反应|不起作用|不生效|怎么回事|怎么办",
        "why": r"\b(?:why|reasons?|how come)\b|为什么|为何|为啥|原因",
        "how": r"\b(?:how (?:do|can|to|should|would|does|did)|how|steps|set up|configure)\b"
        r"(?! (?:many|much|long|often))|怎么|如何|怎样|步骤",
        "yesno": r"^\W*(?:is|are|does|do|can|could|will|has|have|should|may|must)\b"
        r"|吗|是否|能否|可否|能不能|是不是|有没有",
        "what": r"\b(?:what|which|who|where|when|how (?:many|much|long|often)|list)\b|什么|哪|多少|几|多久|多大",
    }.items()
}
"""Kinds of questions, the first that fits counts; none of them: other."""

BROAD = frozenset({"how", "why", "compare"})
"""Kinds whose answers lie across pages, where what was learned helps most."""

EVIDENCE = ("best", "unknown", "strangers", "identifiers", "bm25", "dense", "dense_gap", "focus", "foreign")
NAMES = (
    "verdict",
    *EVIDENCE,
    *(f"is_{kind}" for kind in (*KINDS, "other")),
    "named",
    "chinese",
    "length",
    "turns",
    "trained",
    "stale",
    "probed",
    "says_yes",
)
"""verdict: the search's own probability that the passages answer (rag/answerable.py has the evidence behind it);
named: options, codes, versions, one of several products;
length: of the question, about 1 at 60 words; turns: earlier questions, 1 at 6; trained, stale: share of the passages'
pages that the sft checkpoint learned, and that have changed since; probed, says_yes: whether the engine was asked if
the passages answer, and the probability of its yes above one half."""


def check_names(given: Mapping[str, float]) -> Mapping[str, float]:
    """``given``; ValueError where it names a feature that is none."""
    unknown = sorted(given.keys() - set(NAMES))
    if unknown:
        raise ValueError(f"unknown features: {', '.join(unknown)}")
    return given


@dataclass(frozen=True)
class Learned:
    """What the `sft` voice was trained on: page url -> content hash; empty where its manifest does not say."""

    pages: Mapping[str, str]


def measure(
    turn: Turn, found: Found, learned: Learned | None = None, says_yes: float | None = None
) -> dict[str, float]:
    """Every feature of NAMES. ``learned``: None where there is no sft voice; ``says_yes``: see probe.py."""
    kind = kind_of(turn.question)
    trained, stale = freshness(found, learned)
    return {
        "verdict": found.verdict.score,
        **_evidence(found.verdict.evidence),
        **{f"is_{name}": float(name == kind) for name in (*KINDS, "other")},
        "named": float(bool(names(turn, found))),
        "chinese": float(turn.lang == "zh"),
        "length": _length(turn.question),
        "turns": min(6, sum(message["role"] == "user" for message in turn.history)) / 6,
        "trained": trained,
        "stale": stale,
        "probed": float(says_yes is not None),
        "says_yes": 0.0 if says_yes is None else says_yes - 0.5,
    }


def names(turn: Turn, found: Found) -> list[str]:
    """What the question names exactly (rules.py)."""
    return list(dict.fromkeys([*exact_names(turn.question), *labels_named(turn.question, found.retriever.labels)]))


def kind_of(question: str) -> str:
    """how, what, why, compare, trouble, yesno or other."""
    return next((kind for kind, pattern in KINDS.items() if pattern.search(question)), "other")


def freshness(found: Found, learned: Learned | None) -> tuple[float, float]:
    """(share of the found pages that the checkpoint learned, share of these that changed since), both 0 without one.

    Half and none where the manifest names no pages: nothing is known then.
    """
    if learned is None or not found.passages:
        return 0.0, 0.0
    if not learned.pages:
        return 0.5, 0.0
    now = {passage.url: passage.page_id for passage in found.passages[:JUDGED]}
    known = [url for url in now if url in learned.pages]
    stale = sum(found.retriever.page_hash(now[url]) != learned.pages[url] for url in known)
    return len(known) / len(now), stale / len(known) if known else 0.0


def _evidence(evidence: Evidence | None) -> dict[str, float]:
    return {name: float(getattr(evidence, name)) if evidence else 0.0 for name in EVIDENCE}


def _length(question: str) -> float:
    """Words; two Chinese characters are about one."""
    han = len(re.findall(r"[\u3400-\u9fff]", question))
    words = len(re.findall(r"[A-Za-z0-9_]+", question)) + han / 2
    return math.log1p(words) / math.log1p(60)
