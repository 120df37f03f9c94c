"""The decision, pure: what was measured of a question and which voices are there -> a Route with its reason.

Rules come first (an exact name is looked up), then scores, from the fitted model or the untrained default. The best
voice answers; two whose scores are close both do; where none is good enough, the question is refused.

The untrained default: `rag` scores what the search believes of its passages. `sft` counts only where a checkpoint
answers, and scores PRIOR by kind of question, less for pages that it never learned or that changed since, and for
words that stand nowhere in the docs. So `rag` answers what the docs plainly hold, `sft` a broad question over fresh
pages that the search finds badly, and both answer in between. Voices that nobody measured are not chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from data.prompts import prompt_lang
from rag.answerable import THRESHOLD
from serving.exchange import Route
from serving.router.features import BROAD, Features
from serving.router.model import RouterModel
from serving.router.rules import SHOWN

READS = ("rag", "sft-rag")
ARMS = ("rag", "sft", "sft-rag")
"""Voices that can be chosen. `base` never: nobody can check what it says against the docs."""

PRIOR = {True: 0.62, False: 0.35}
"""Untrained score of `sft` for broad questions and for others, everything learned and fresh."""

UNTRAINED_MARGIN = 0.12
UNTRAINED_REFUSE = THRESHOLD


@dataclass(frozen=True)
class Policy:
    """``scores``: voice -> how well it is believed to answer, 0 to 1. ``read_from``: where none is good enough, one
    that reads is asked all the same if it scores this: what its model, or quoting mode, is there to decide."""

    scores: Mapping[str, float]
    margin: float = UNTRAINED_MARGIN
    refuse_below: float = UNTRAINED_REFUSE
    read_from: float = 1.0


def weigh(features: Features, arms: Collection[str], model: RouterModel | None, read_from: float = 1.0) -> Policy:
    """The scores of ``arms``: by ``model``, or untrained where there is none or it knows none of them. ``read_from``
    holds for the untrained ones: a fitted model has learned from its voices' refusals."""
    there = [arm for arm in ARMS if arm in arms]
    fitted = model.scores(features, there) if model else {}
    if model and fitted:
        return Policy(fitted, model.margin, model.refuse_below)
    scores = {arm: score for arm, score in untrained(features).items() if arm in there}
    return Policy(scores, read_from=read_from)


def untrained(features: Features) -> dict[str, float]:
    """Scores before anything was fitted."""
    broad = any(features[f"is_{kind}"] for kind in BROAD)
    learned = 0.5 + 0.5 * features["trained"]
    sft = PRIOR[broad] * learned * (1 - features["stale"]) * (1 - features["unknown"])
    return {"rag": round(features["verdict"], 4), "sft": round(sft, 4)}


def decide(policy: Policy, names: Sequence[str], lang: str) -> Route:
    """``names``: what the question names exactly; ``lang``: of the question, and so of the reason."""
    ranked = sorted(policy.scores, key=lambda arm: -policy.scores[arm])
    asked = [arm for arm in ranked if arm in READS] if names else ranked
    good = [arm for arm in asked if policy.scores[arm] >= policy.refuse_below]
    if not good:
        reads = [arm for arm in asked if arm in READS and policy.scores[arm] >= policy.read_from]
        return _route(reads[:1], "unsure" if reads else "none", lang, policy, one=reads[0] if reads else "")
    best = good[0]
    if names:
        return _route([best], "names", lang, policy, names=", ".join(names[:SHOWN]))
    if len(good) > 1 and policy.scores[best] - policy.scores[good[1]] < policy.margin:
        return _route(good[:2], "close", lang, policy, one=best, other=good[1])
    why = "only" if len(ranked) == 1 else "docs" if best in READS else "learned"
    return _route([best], why, lang, policy, one=best)


REASONS = {
    "names": {
        "en": "it names {names}: exact names are looked up in the docs, not recalled",
        "zh": "问题提到 {names}：确切的名称要查文档，不靠记忆",
    },
    "none": {
        "en": "the docs do not seem to hold the answer, and no voice is trusted to know it",
        "zh": "文档中似乎没有答案，也没有可以信任的声部知道",
    },
    "unsure": {
        "en": "no voice is likely to know it, so {one}, which reads the docs and says so where they do not answer",
        "zh": "没有哪个声部很可能知道答案，因此由 {one} 查阅文档，文档中没有答案时它会说明",
    },
    "close": {
        "en": "{one} and {other} are about as likely to answer well, so both answer",
        "zh": "{one} 和 {other} 答好的可能性相近，因此两个都回答",
    },
    "only": {
        "en": "{one} is the only voice to choose from, and likely to answer",
        "zh": "只有 {one} 可选，且很可能答得好",
    },
    "docs": {
        "en": "the passages found are likely to answer it, so {one}, which cites them",
        "zh": "找到的段落很可能有答案，因此由引用段落的 {one} 回答",
    },
    "learned": {
        "en": "a question that {one} is more likely to answer well than the passages found",
        "zh": "与找到的段落相比，{one} 更可能答好这个问题",
    },
    "fallen back": {
        "en": "{one} was chosen and could not answer, so {other} reads the docs instead",
        "zh": "选中的 {one} 未能回答，因此改由 {other} 查阅文档",
    },
    "no index": {
        "en": "there is no index to search, so {one} answers from what it has learned",
        "zh": "没有可检索的索引，因此由 {one} 凭所学回答",
    },
    "talk": {"en": "this is small talk, not a question about the docs", "zh": "这是寒暄，不是关于文档的问题"},
}


def reason(key: str, lang: str, **words: str) -> str:
    """Why, in the question's language."""
    return REASONS[key][prompt_lang(lang)].format(**words)


def _route(arms: Sequence[str], key: str, lang: str, policy: Policy, **words: str) -> Route:
    return Route(tuple(arms), reason(key, lang, **words), dict(policy.scores))
