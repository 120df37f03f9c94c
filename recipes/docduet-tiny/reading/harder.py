"""Questions that share few words with the page: told with a story around them, nearly all words exchanged, some left out.

People who ask support do so: of the words of the handbook's evaluation questions a third stand in the passage that
answers, of a page's own words turned into a question nine tenths. What results may be clumsy; it must stay answerable,
so names, options and numbers stay, and some of the question's own words.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from functools import cache

from rag import segment
from sft.rules.lexicon import gerund, lexicon, participle, plural

_ASKING = frozenset(
    "怎样 怎么 怎么样 怎么办 如何 什么 哪个 哪些 哪里 为什么 多少 可以 是否 能不能 有没有 什么样".split()
)

STORY = 0.6
SWAP = 0.8
DROP = 0.22
"""Shares: of questions with a story, of known words exchanged, of other words left out."""

_WHO = {
    "en": ("A colleague", "My boss", "One of our customers", "Somebody from sales", "The new intern", "A partner", "Our team lead", "A user in Berlin", "Someone on the phone"),
    "zh": ("同事", "领导", "一位客户", "销售部的人", "新来的实习生", "合作伙伴", "我们组长", "上海的一位用户", "电话里的客户"),
}  # fmt: skip
_BEFORE = {
    "en": (
        "{who} asked me this morning: ", "{who} would like to know this before Friday. ", "We moved everything to a new place last week. ",
        "I inherited this from somebody who left. ", "I am on call tonight and a bit lost. ", "{who} insists that it can be answered. ",
        "I have been through half of the manual already. ", "We are three people and nobody has done it before. ",
        "Before I break something: ", "I am writing a note for the team, so: ", "It worked at my last job. ", "{who} is waiting for a reply: ",
        "There was a meeting about it yesterday. ", "I only have ten minutes before the demo. ", "Ticket from yesterday, still open. ",
        "I promised {low} an answer. ", "We are preparing the rollout for the whole office. ", "As far as I remember it was simple. ",
    ),
    "zh": (
        "{who}今天早上问我：", "{who}周五之前想知道，", "上周我们把东西都搬到了新地方。", "这是离职同事留下来的，", "今晚我值班，有点搞不清楚，",
        "{who}说这个一定能查到。", "手册我已经翻了一半，", "我们三个人都没弄过，", "怕弄坏了，先问一下：", "我在给团队写说明，", "上一家公司可以的。",
        "{who}在等回复：", "昨天开会讨论过这个。", "演示前只剩十分钟了，", "昨天的工单还没关。", "我答应了{who}给个答复，", "我们正准备在整个办公室推广。",
    ),
}  # fmt: skip
_BEHIND = {
    "en": (" I need it for a report.", " The customer is getting impatient.", " I'm new here.", " No hurry.", " We are on the latest one.", " It was different at my old job.", " It's for an audit."),
    "zh": ("写报告要用。", "客户有点着急了。", "我是新来的。", "不急。", "审计要用。", "我们用的是最新的。"),
}  # fmt: skip
_FIXED = frozenset(
    "what which where when how why does do is are can i my the a an of to in on for with if not it and or that be "
    "keep mind happens should know about free would".split()
)


def harder(question: str, lang: str, rng: random.Random) -> str:
    """The question with few of its own words left."""
    said = _chinese(question, rng) if lang == "zh" else _english(question, rng)
    if rng.random() < STORY:
        who = rng.choice(_WHO[lang])
        before = rng.choice(_BEFORE[lang]).format(who=who, low=who[:1].lower() + who[1:] if lang == "en" else who)
        said = f"{before}{said}"
    if rng.random() < 0.25:
        said = (
            f"{said if said[-1:] in '.?!。？' else said + ('?' if lang == 'en' else '？')}{rng.choice(_BEHIND[lang])}"
        )
    return said


def _english(question: str, rng: random.Random) -> str:
    words = re.split(r"(\s+)", question)
    free = [
        at
        for at, word in enumerate(words)
        if re.fullmatch(r"[a-z]{4,}[?.,]?", word) and word.strip("?.,") not in _FIXED
    ]
    left = len(free)
    for at in free:
        bare = words[at].rstrip("?.,")
        others = _known().get(bare)
        if others:
            if rng.random() < SWAP:
                words[at] = rng.choice(others) + words[at][len(bare) :]
        elif left > 2 and rng.random() < DROP:
            words[at] = words[at][len(bare) :]
            left -= 1
    return re.sub(r" +([?.,])", r"\1", re.sub(r" {2,}", " ", "".join(words))).strip()


def _chinese(question: str, rng: random.Random) -> str:
    def of_run(run: re.Match[str]) -> str:
        words = [word for word, _ in segment.words(run[0])]
        left = sum(len(word) > 1 for word in words)
        for at, word in enumerate(words):
            others = _known_zh().get(word)
            if others and rng.random() < SWAP:
                words[at] = rng.choice(others)
            elif not others and len(word) > 1 and word not in _ASKING and left > 3 and rng.random() < DROP * 0.6:
                words[at] = ""
                left -= 1
        return "".join(words)

    return re.sub(r"[\u4e00-\u9fff]+", of_run, question)


def _third(verb: str) -> str:
    """ "work with" -> "works with"."""
    first, *rest = verb.split(" ")
    return " ".join([plural(first), *rest])


@cache
def _known() -> dict[str, tuple[str, ...]]:
    """Every form of every word of the lexicon -> words of its group in that form; both ways here, not one way."""
    found: dict[str, set[str]] = defaultdict(set)
    tables = lexicon("en")
    for part, forms in (
        ("verbs", (str, gerund, participle, _third)),
        ("nouns", (str, plural)),
        ("adjectives", (str,)),
        ("adverbs", (str,)),
    ):
        for word, others in tables[part].items():
            group = [word, *others]
            for form in forms:
                for one in group[:1] if part != "nouns" else group:
                    if " " not in one:
                        found[form(one)] |= {form(other) for other in group if other != one}
    return {word: tuple(sorted(others - {word})) for word, others in found.items() if others - {word}}


@cache
def _known_zh() -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = defaultdict(set)
    for table in lexicon("zh").values():
        for word, others in table.items():
            found[word] |= set(others)
    return {word: tuple(sorted(others)) for word, others in found.items()}
