"""Words of a text, as the lexical side sees them: English, Chinese and identifiers.

English words are stemmed. Identifiers (`--max-model-len`, `ERR_1234`, `v1.2.3`, `HybridRetriever`) give themselves and
their parts. Chinese gives jieba's words and, inside what remains between stop words, character pairs: words are
precise, pairs find what the dictionary does not know. jieba loads on the first Chinese text, quietly.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rag import segment

LEXICAL_VERSION = "1"
"""Part of an index's recipe: raise it when `tokenize` cuts differently."""

Kind = Literal["word", "identifier", "part", "pair"]

_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LATIN = rf"(?:(?![{_HAN}_])\w)"
_RUN = re.compile(rf"(?P<han>[{_HAN}]+)|(?P<latin>{_LATIN}+(?:[-._]+{_LATIN}+)*(?:\+\+|#(?!\w))?)")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_A-Za-z]+|\d+")
_PLAIN = re.compile(r"[A-Za-z]?[a-z]+|[A-Z]+")

# Question words and glue: they say nothing about which passage answers.
_ENGLISH_STOP = frozenset(
    """
    s t a about after again all also am an and any anything are as at be because been before being between both but by
    can cannot could did do does doing don down each else ever few for from further get gets getting give go got had has
    have having he her here hers him his how i if in into is isn it its itself just let like ll make many may me might
    more most much must my myself need no nor not now of off on once one only or other our out over own please same
    shall she should so some something such tell than that the their them then there these they thing this those
    through to too under until up us use used using ve very want was way we were what when where which while who whom
    whose why will with would yes you your yours
    """.split()  # noqa: SIM905
)
_CHINESE_STOP = frozenset(
    """
    的 了 和 是 在 有 我 我们 你 你们 您 他 她 它 他们 这 那 这个 那个 这些 那些 哪 哪个 哪些 哪里 哪儿 什么
    怎么 怎样 如何 怎么样 怎么办 为什么 为何 为啥 多少 几 几个 是否 能否 可否 可以 能 能够 会 要 想 需要 应该
    应当 吗 呢 吧 啊 呀 么 嘛 也 都 就 还 又 再 很 太 最 更 与 及 以及 或 或者 而 而且 但 但是 如果 若 因为 所以
    则 即 被 把 让 使 对 对于 关于 从 到 向 由 于 为 以 用 使用 请 请问 一下 一个 一种 一些 个 种 中 里 上 下 时
    时候 后 前 之 其 该 本 此 各 每 并 并且 不 没 没有 无法 进行 通过 根据 按照 等 等等 地 得 着 过 来 去 做
    有没有 是不是 能不能 会不会 哪种 什么样 告诉 介绍 才 里面 其中
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Term:
    """One term of a text: the token that is compared, and where it stands (end exclusive).

    ``kind``: a word, a whole identifier, a part of the identifier before it, or a pair of Chinese characters.
    """

    token: str
    start: int
    end: int
    kind: Kind = "word"


def tokenize(text: str) -> list[str]:
    """The terms to index or to search, in order, repetitions kept."""
    tokens: list[str] = []
    for match in _RUN.finditer(text):
        tokens += (_chinese_tokens if match.lastgroup == "han" else _latin_tokens)(match.group())
    return tokens


@lru_cache(maxsize=65536)
def _latin_tokens(run: str) -> tuple[str, ...]:
    """Words come again and again: remembering them makes the tokens of English docs four times as fast."""
    return tuple(term.token for term in _latin(run, 0))


@lru_cache(maxsize=65536)
def _chinese_tokens(run: str) -> tuple[str, ...]:
    return tuple(term.token for term in _chinese(run, 0))


def latin(text: str) -> str:
    """``text`` without its Chinese: the names, options and codes that stand in docs of any language."""
    return re.sub(rf"[{_HAN}，。？！、：；（）《》“”]+", " ", text).strip()


def spans(text: str, wanted: Collection[str]) -> list[tuple[int, int]]:
    """Where ``wanted`` terms (as `tokenize` cuts them) stand in ``text``: sorted, touching ones merged."""
    keep = set(wanted)
    found = sorted((term.start, term.end) for term in terms(text) if term.token in keep)
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def terms(text: str) -> Iterator[Term]:
    """The terms of ``text`` with their places."""
    for match in _RUN.finditer(text):
        cut = _chinese if match.lastgroup == "han" else _latin
        yield from cut(match.group(), match.start())


def _latin(run: str, at: int) -> Iterator[Term]:
    """A plain word, or an identifier and its parts."""
    if _PLAIN.fullmatch(run):
        token = run.lower()
        if token not in _ENGLISH_STOP:
            yield Term(stem(token), at, at + len(run))
        return
    whole = re.sub(r"[-_]+", "_", unicodedata.normalize("NFKC", run)).lower()
    parts = [Term(m.group().lower(), at + m.start(), at + m.end(), "part") for m in _CAMEL.finditer(run)]
    if not (run.isalpha() and not run.isascii()):
        yield Term(whole, at, at + len(run), "identifier")
    else:
        yield Term(stem(whole), at, at + len(run))
    if len(parts) < 2:
        return
    for part in parts:
        if len(part.token) > 1 and part.token not in _ENGLISH_STOP:
            yield Term(stem(part.token), part.start, part.end, "part")


def _chinese(run: str, at: int) -> Iterator[Term]:
    """Dictionary words of two and more characters, then the pairs that are no words; a lone character is a word."""
    stretch: list[tuple[str, int]] = []
    for word, start in segment.words(run):
        if word in _CHINESE_STOP:
            yield from _stretch(stretch, at)
            stretch = []
        else:
            stretch.append((word, start))
    yield from _stretch(stretch, at)


def _stretch(words: list[tuple[str, int]], at: int) -> Iterator[Term]:
    """Words and pairs between two stop words."""
    if not words:
        return
    text = "".join(word for word, _ in words)
    offset = at + words[0][1]
    known = set()
    for word, start in words:
        if len(word) > 1 or len(text) == 1:
            known.add((start, word))
            yield Term(word, at + start, at + start + len(word))
    for i in range(len(text) - 1):
        if (words[0][1] + i, text[i : i + 2]) not in known:
            yield Term(text[i : i + 2], offset + i, offset + i + 2, "pair")


_stemmers = threading.local()  # a Stemmer must not be shared between threads


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Snowball's English stem; words of up to three letters and all that is not plain ASCII letters stay."""
    if len(word) <= 3 or not (word.isascii() and word.isalpha()):
        return word
    if not hasattr(_stemmers, "english"):
        import Stemmer

        _stemmers.english = Stemmer.Stemmer("english")
    stemmed: str = _stemmers.english.stemWord(word)
    return stemmed
