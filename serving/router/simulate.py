"""Labels with a known truth, to see whether the fit finds what is there. They say nothing about any real voice.

Questions are made of the headings of the synced pages, in each language and of each kind, and of questions that other
docs answer (evals/sets). How likely each voice answers well is computed from real features by `truth`; the labels
are drawn from that. So the best that any router could reach is known: the mean of the better voice's probability.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterable, Sequence

from data.errors import ConfigError
from data.types import Page
from evals.questions import FOLDER
from serving.router.features import BROAD, Features, Learned
from serving.router.labels import Label

TEMPLATES = {
    "en": (
        "How do I use {}?",
        "What is {}?",
        "Why do I need {}?",
        "What is the difference between {} and {}?",
        "{} fails, what can I do?",
        "Is {} supported?",
        "How do I set up {} with --verbose?",
    ),
    "zh": (
        "怎么使用{}？",
        "{}是什么？",
        "为什么需要{}？",
        "{}和{}有什么区别？",
        "{}失败了怎么办？",
        "支持{}吗？",
        "怎么用 --verbose 设置{}？",
    ),
}
FOREIGN = 0.2
"""Share of questions that do not come from the docs."""

TRAINED, STALE = 0.8, 0.2
"""Share of the pages that the simulated checkpoint learned, and of these the share that has changed since."""


def questions(pages: Sequence[Page], count: int, seed: int) -> list[str]:
    """``count`` different questions. Raises ConfigError when the pages do not give that many."""
    chance = random.Random(seed)
    foreign = _foreign()
    chance.shuffle(foreign)
    made = list(dict.fromkeys(_own(pages, chance)))
    chance.shuffle(made)
    wanted = min(len(foreign), round(FOREIGN * count))
    if len(made) < count - wanted:
        raise ConfigError(f"the synced pages give {len(made) + wanted} questions, not {count}: ask for fewer")
    return [*made[: count - wanted], *foreign[:wanted]]


def learned(pages: Sequence[Page], seed: int) -> Learned:
    """What the simulated checkpoint was trained on."""
    chance = random.Random(seed)
    known = {page.url: page.content_hash for page in pages if chance.random() < TRAINED}
    return Learned({url: "of an earlier page" if chance.random() < STALE else was for url, was in known.items()})


def truth(features: Features) -> dict[str, float]:
    """How likely each simulated voice answers well. Neither is a logistic function of the features."""
    broad = any(features[f"is_{kind}"] for kind in BROAD)
    rag = _sigmoid(7 * (features["verdict"] - 0.45)) * (0.65 if broad else 0.92)
    sft = _sigmoid(0.3 + 2.2 * broad - 2.5 * features["named"] + 1.5 * (features["trained"] - 0.5))
    return {"rag": rag, "sft": sft * (1 - 0.7 * features["stale"]) * (1 - 0.8 * features["unknown"])}


def label(question: str, lang: str, features: Features, chance: random.Random) -> Label:
    """What came of asking both voices once."""
    arms = {arm: chance.random() < likely for arm, likely in truth(features).items()}
    return Label(question=question, lang=lang, arms=arms, features=features, simulated=True)


def best_possible(labels: Sequence[Label]) -> float:
    """The accuracy of a router that knows the truth, and not what was drawn."""
    return sum(max(truth(label.features).values()) for label in labels) / len(labels)


def _own(pages: Sequence[Page], chance: random.Random) -> Iterable[str]:
    topics = {
        lang: sorted({topic for page in pages if page.lang == lang for topic in _topics(page)}) for lang in TEMPLATES
    }
    for lang, found in topics.items():
        for topic in found:
            for template in TEMPLATES[lang]:
                yield template.format(topic, chance.choice(found))


def _topics(page: Page) -> list[str]:
    headings = re.findall(r"^#{1,4} +(.+?)[ #]*$", page.body, re.MULTILINE)
    return [heading.strip("`*") for heading in [page.title, *headings] if len(heading) < 60]


def _foreign() -> list[str]:
    lines = (FOLDER / "refusals-fit.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines]


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))
