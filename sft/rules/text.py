"""Small tools over pieces of Markdown: plain words, sentences, and a piece made fit to stand alone as an answer."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from data.sentences import sentences

# "For details, please refer to Custom Dataset." without a link: true, and of no use outside of the page.
_POINTER = re.compile(
    r"(?:(?:For|To) [^.;]{3,80}, )?(?:please )?(?:also )?(?:refer to|see|check(?: out)?|read|visit|consult)\b[^.;]{3,90}\.?|"
    r"[^.;]{3,60} can be found in [^.;]{3,60}\.?|"
    r"(?:[^。；]{0,40}[，,])?(?:具体(?:含义)?|介绍|详情|更多[^。；]{0,12}|细节)?(?:请|可以?|可)?(?:参考|参见|详见|查看|查阅|参阅)[^。；]{2,50}。?",
    re.IGNORECASE,
)

_HINT = re.compile(
    r"\bhere\b|refer|\bsee\b|check|found in|read|visit|consult|参考|参见|详见|见|查看|查阅|参阅|这里|此处|该链接", re.I
)

_LIST_MARKERS = re.compile(r"\s*(?:[-*+>]\s+|\d+[.)]\s+)*")

T = TypeVar("T")

_PICTURES = re.compile(r"[\U0001f000-\U0001faff\u2b50\u2b55\ufe0f\u200d]+ ?")
_FENCE = re.compile(r"(?ms)^[ \t]*(```+|~~~+)[^\n]*\n.*?(?:^[ \t]*\1[ \t]*$|\Z)")
_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
# What is left of a link to a page beside this one once its target is gone: it leads nowhere.
_NOWHERE = re.compile(
    r"(?:\b(?:see|refer to|check|found|available|view|details?)\b[^.()]{0,60}?\bhere\b)"
    r"|(?:参考|查看|参见|详见|见|请看|在)\s*(?:这里|此处|这个例子|该链接)|(?:^|[^在])这里(?:查看|获取)",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Inline Markdown as a person would say it: links as their text, no marks, no pictures, one line."""
    text = re.sub(r"<[^>\s][^>]*>", " ", html.unescape(_LINK.sub(r"\1", text)))
    text = re.sub(r"`+|\*\*|__(?=\w)|(?<=\w)__", "", _PICTURES.sub("", text))
    return re.sub(r"\s+", " ", text).strip(" *#\t").removesuffix("\\")


def prose_of(text: str) -> str:
    """``text`` without code blocks and code spans."""
    return _CODE_SPAN.sub(" ", _FENCE.sub(" ", text))


def outside_code(text: str) -> list[tuple[bool, str]]:
    """``text`` cut into (is it prose, piece); the pieces joined give it back."""
    pieces, at = [], 0
    for match in _FENCE.finditer(text):
        pieces += [(True, text[at : match.start()]), (False, match.group())]
        at = match.end()
    return [piece for piece in [*pieces, (True, text[at:])] if piece[1]]


def clean(text: str) -> str:
    """A piece of a page, as it may stand in an answer: no pictures, entities as characters, no pointers to nowhere."""
    cleaned = "".join(_clean_prose(piece) if is_prose else piece for is_prose, piece in outside_code(text))
    cleaned = re.sub(r"(?:\n\s*(?:-{3,}|\*{3,}|_{3,})\s*)+$", "", cleaned.rstrip())  # a rule before the next section
    return re.sub(r"\n{3,}", "\n\n", cleaned).strip("\n").rstrip()


def _clean_prose(text: str) -> str:
    text = html.unescape(_PICTURES.sub("", text))
    text = re.sub(r"<br\s*/?>|</?(?:details|summary|div|span|p|center|b|i)\b[^>]*>|\\$", "", text, flags=re.MULTILINE)
    lines = [_without_pointers(line) if _HINT.search(line) else line for line in _unpadded(text).split("\n")]
    return "\n".join(line.rstrip() for line in lines if line is not None)


def _unpadded(text: str) -> str:
    """Tables without the spaces and dashes that only line up their columns: they may be most of a table's tokens."""
    text = re.sub(r"(?m)^[ \t]*\|.*$", lambda row: re.sub(r" {2,}(?=\|)|(?<=\|) {2,}", " ", row[0]), text)
    return re.sub(r"(?m)^[ \t]*\|[ :|-]+\|?[ \t]*$", lambda row: re.sub(r"-{4,}", "---", row[0]), text)


def _without_pointers(line: str) -> str | None:
    """The line without sentences and brackets that say "see here" where "here" is no link; None when nothing is left."""
    marker = _LIST_MARKERS.match(line)[0]  # type: ignore[index]  # it matches nothing, too
    said = line[len(marker) :]
    said = re.sub(r"\s?[(（]([^()（）]*)[)）]", lambda m: "" if _leads_nowhere(m[1].strip()) else m[0], said)
    kept = [part for part in sentences(said) if not _leads_nowhere(part)]
    whole = " ".join(kept) if not re.search(r"[。！？]", said) else "".join(kept)
    return f"{marker}{whole}" if whole.strip() else None


def _leads_nowhere(sentence: str) -> bool:
    if "](" in sentence or "http" in sentence:
        return False
    return bool(_NOWHERE.search(sentence) or ("`" not in sentence and _POINTER.fullmatch(sentence)))


def balanced(text: str) -> bool:
    """Whether quotes, brackets and backticks come in pairs: a cut through one of them leaves a broken phrase."""
    pairs = ["()", "[]", "{}", "（）", "“”", "《》", "「」"]
    return all(text.count(pair[0]) == text.count(pair[1]) for pair in pairs) and all(
        text.count(mark) % 2 == 0 for mark in '`"*'
    )


def has_han(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def number_of(*key: str) -> int:
    """A number that depends on ``key`` alone: what stands in for chance, the same on every machine and day."""
    return int.from_bytes(hashlib.sha256("\x1f".join(key).encode()).digest()[:8], "big")


def shuffled(options: Sequence[T], *seed: str, key: Callable[[T], str] = repr) -> list[T]:
    """``options`` in an order that depends on ``seed`` alone. ``key``: what tells them apart."""
    return sorted(options, key=lambda option: number_of(*seed, key(option)))
