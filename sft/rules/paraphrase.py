"""The same question in other words, by rules: what support staff would type instead. English and Chinese.

    >>> paraphrases("How do I create an index?", "en", random.Random(1), 3)

What a question names (options, identifiers, numbers, quoted text, product names) is never touched; everything else may
be: synonyms (lexicon/), the frame of the question, its order, its politeness, and at a small rate its spelling. The
answer stays what it was. Deterministic: the generator given decides everything.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from sft.rules import paraphrase_en, paraphrase_zh

_TRIES = 5
"""Drafts a paraphrase: many come out alike, or as the question itself."""

_FIRST = 0xE000
_PLACES = 0x1800
PLACE = rf"[{chr(_FIRST)}-{chr(_FIRST + _PLACES - 1)}]"
_KEPT = {
    "en": re.compile(
        rf"{PLACE}|"  # private characters of the docs' own, such as an icon behind a heading
        r"`[^`]+`|\"[^\"]+\"|“[^”]+”|(?<!\w)'[^']{2,60}'(?!\w)|https?://\S+|"
        r"(?<![\w-])--?[A-Za-z][\w-]*|[\w-]*(?:[_/@=\\:.](?=[\w-])|\d)[\w@=/\\:.-]*[\w/]|\d\w*|"
        r"\b\w*[a-z][A-Z]\w*|\b[A-Z][A-Z0-9]+\b(?:s\b)?|(?<=[\w,;:)] )[A-Z][\w'-]+(?: [A-Z][\w'-]+)*"
    ),
    "zh": re.compile(
        rf"{PLACE}|"
        r"`[^`]+`|\"[^\"]+\"|“[^”]+”|「[^」]+」|《[^》]+》|'[^']{2,60}'|(?:--?|~?/)?[A-Za-z0-9][\w.+/@=:#-]*(?: [A-Z][\w.+-]*)*",
        re.ASCII,
    ),
}


def paraphrases(question: str, lang: str, rng: random.Random, n: int) -> list[str]:
    """At most ``n`` other wordings, all different; fewer where there is little to change. ``lang``: "en" or "zh..."."""
    if not question.strip():
        return []
    which = "zh" if lang.startswith("zh") else "en"
    reword = paraphrase_zh.reword if which == "zh" else paraphrase_en.reword
    found: dict[str, str] = {}
    for _ in range(n * _TRIES):
        if len(found) == n:
            break
        said = _keeping(question, which, lambda masked: reword(masked, rng))
        key = _bare(said)
        if key and key != _bare(question):
            found.setdefault(key, said)
    return list(found.values())


def _keeping(question: str, lang: str, change: Callable[[str], str]) -> str:
    """``change`` sees a private character in place of everything that must stay; a draft that lost one is no draft."""
    kept: list[str] = []

    def mask(match: re.Match[str]) -> str:
        kept.append(match[0])
        return chr(_FIRST + len(kept) - 1)

    masked = _KEPT[lang].sub(mask, question.strip())
    said = change(masked)
    if sorted(re.findall(PLACE, said)) != sorted(re.findall(PLACE, masked)):
        return ""
    return re.sub(PLACE, lambda match: kept[ord(match[0]) - _FIRST], said)


def _bare(text: str) -> str:
    return re.sub(r"[\s?？.。!！,，]+", " ", text).strip()
