"""Questions that the passages do not answer, and near misses above all.

"missing": the passage that answers is taken out, its neighbours stay. "attribute": the passages are about the thing, but
do not say this of it. "swapped": the question names something that stands in none of the passages. "foreign": a question
from elsewhere over passages found for it here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from rag.lexical import tokenize
from reading.parts import Draft, Passage
from reading.show import Shelf, count_of, opened, squeeze

MISSING, ATTRIBUTE, SWAPPED = 0.45, 0.65, 0.88
"""Shares, adding up: of a hundred refusals 45 miss the passage, 20 ask for an attribute, 23 have a name swapped."""

ATTRIBUTES: dict[str, tuple[tuple[str, str], ...]] = {
    "en": (
        ("What is the maximum of {s}?", r"max|at most|limit|up to|largest"),
        ("What is the default of {s}?", r"default"),
        ("Which version introduced {s}?", r"version|since|introduc|added|release|new in"),
        ("Who wrote {s}?", r"author|written by|wrote|develop"),
        ("How long does {s} take?", r"second|minute|hour|long|time|fast|slow"),
        ("What does {s} cost?", r"cost|price|free|pay|expens"),
        ("Which port does {s} use?", r"port"),
        ("How do I disable {s}?", r"disabl|turn(?:ed|ing)? off|switch|deactivat|prevent|without|--no"),
        ("How do I uninstall {s}?", r"uninstall|remov|purge|delet"),
        ("Where does {s} write its log?", r"log"),
        ("How much memory does {s} need?", r"memory|RAM|bytes|[MG]B"),
        ("Does {s} work on Windows?", r"windows|microsoft"),
        ("Is {s} encrypted?", r"encrypt|cipher|TLS|SSL|secur"),
        ("How do I back up {s}?", r"back(?:ed|ing)? ?up|dump|archive|copy|save"),
        ("Can two users share {s}?", r"users?\b|shar"),
        ("Which licence applies to {s}?", r"licen[cs]e|copyright|GPL"),
        ("How often is {s} updated?", r"updat|interval|every|period|often"),
        ("How do I translate {s} into French?", r"translat|locale|language|French"),
    ),
    "zh": (
        ("{s}的最大值是多少？", r"最大|最多|上限|不超过"),
        ("{s}的默认值是什么？", r"默认|缺省"),
        ("{s}是哪个版本加入的？", r"版本|引入|新增|加入"),
        ("{s}是谁写的？", r"作者|编写|开发"),
        ("{s}需要多长时间？", r"时间|秒|分钟|小时|快|慢"),
        ("{s}要多少钱？", r"费|价格|钱|免费"),
        ("{s}用哪个端口？", r"端口"),
        ("怎么关闭{s}？", r"关闭|禁用|停用|取消|不使用"),
        ("怎么卸载{s}？", r"卸载|删除|移除"),
        ("{s}的日志在哪里？", r"日志|log"),
        ("{s}占用多少内存？", r"内存|字节|MB|GB"),
        ("{s}能在 Windows 上用吗？", r"[Ww]indows|微软"),
        ("{s}加密了吗？", r"加密|安全|密码"),
        ("怎么备份{s}？", r"备份|复制|保存"),
        ("{s}用的是什么许可证？", r"许可|版权|GPL"),
        ("{s}多久更新一次？", r"更新|间隔|每"),
    ),
}
"""Question, and what a passage that may answer it has."""

SAYS_SO = 0.55
"""A passage with this share of the answer's rarer terms may say the same: it is not shown under a refusal."""

_NAME = re.compile(
    r"`([^`]{2,40})`|(?<![\w-])(--?[a-z][\w-]+)|\b([A-Za-z]+[_./]\w[\w./]*|[A-Z][A-Za-z]*\d\w*|[A-Z]{2,}[A-Z0-9_]*|\w*[a-z][A-Z]\w*)\b"
)


def without_gold(shelf: Shelf, draft: Draft, query: str, gold: Sequence[int], rng: random.Random) -> list[Passage]:
    """The nearest passages that say nothing of the answer; too few: []."""
    answer = " ".join(piece.text for piece in draft.pieces)
    asked = set(tokenize(draft.question))
    told = {term for term in tokenize(answer) if term not in asked}
    rare = sorted(told, key=lambda term: shelf.rarity.get(term, 0))[: max(4, len(told) * 2 // 3)]
    held = {squeeze(piece.text)[:60] for piece in draft.pieces}
    places = [
        place
        for place in shelf.near(query)
        if place not in gold
        and sum(term in shelf.words[place] for term in rare) < SAYS_SO * len(rare)
        and not any(text in shelf.squeezed[place] for text in held)
    ]
    return opened(shelf, places[: count_of(rng)], rng)


def swapped(shelf: Shelf, draft: Draft, names: Sequence[str], rng: random.Random) -> str:
    """The question with one of its names changed for one of ``names`` (what the slice names); "" where it has none."""
    found = list(_NAME.finditer(draft.question))
    if not found:
        return ""
    place = rng.choice(found)
    old = next(filter(None, place.groups()))
    alike = [name for name in names if kind_of(name) == kind_of(old) and squeeze(name) != squeeze(old)]
    if not alike:
        return ""
    new = rng.choice(alike)
    return f"{draft.question[: place.start()]}{place[0].replace(old, new)}{draft.question[place.end() :]}"


def of_attribute(shelf: Shelf, draft: Draft, rng: random.Random) -> tuple[str, list[Passage]]:
    """(question, passages): about the draft's subject, with passages on it that have no word of the answer; or ("", [])."""
    form, tells = rng.choice(ATTRIBUTES[shelf.slice.lang])
    question = form.format(s=draft.subject)
    shown = opened(shelf, shelf.near(f"{draft.subject} {question}")[: count_of(rng)], rng)
    text = "\n".join(f"{one.title} {' '.join(one.heading_path)}\n{one.text}" for one in shown)
    about = squeeze(re.sub(r"^(?:the|an?|my) ", "", draft.subject)) in squeeze(text)
    return (question, shown) if about and not re.search(tells, text, re.IGNORECASE) else ("", [])


def names_of(questions: Sequence[str]) -> list[str]:
    """All that the questions name, each once."""
    found = (next(filter(None, match.groups())) for question in questions for match in _NAME.finditer(question))
    return list(dict.fromkeys(found))


def kind_of(name: str) -> str:
    """Options for options, variables for variables, paths for paths: what is swapped must look alike."""
    if name.startswith("-"):
        return "option"
    if "/" in name:
        return "path"
    if name.isupper():
        return "upper"
    return "snake" if "_" in name else "dotted" if "." in name else "camel" if name[1:] != name[1:].lower() else "word"


def stands_in(new_question: str, old_question: str, passages: Sequence[Passage]) -> bool:
    """Whether what the new question names beyond the old one stands in a passage after all."""
    new = set(names_of([new_question])) - set(names_of([old_question]))
    text = "".join(squeeze(f"{one.title}{''.join(one.heading_path)}{one.text}") for one in passages)
    return any(squeeze(name) in text for name in new)
