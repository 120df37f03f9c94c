"""Which language a text is written in: pages as well as questions of three words.

Scripts that belong to one language (Chinese, Japanese, Korean, ...) are recognised by their characters. Latin text is
English unless it is long enough for a statistical classifier (py3langid, loaded on first need) to be sure it is not.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

SAMPLE_CHARS = 4000
"""As much as is looked at: more does not change the result."""

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")
_LETTER = re.compile(r"[^\W\d_]")
_CODE = re.compile(
    r"(?ms)^[ >]*(```|~~~).*?^[ >]*\1|`[^`\n]+`|https?://\S+|(?<!\S)--?[A-Za-z][\w.=-]*|\b\w*[_./\\:]\w[\w./\\:]*"
)
_WORD = re.compile(r"[^\W\d_]{2,}(?:'[a-z]+)?")

_SURE = 0.9

_MIN_WORDS = 4
"""Shorter Latin text is called English: classifiers guess wildly on "docker run"."""

# Frequent in English, rare as words of its neighbours (so no "in", "on", "is", "for", "do", "will").
_ENGLISH = frozenset(
    """
    and are by can could does from how if it its my of or should that the there these this to using what what's when
    where which who why with would you your don't doesn't cannot have has been
    """.split()  # noqa: SIM905
)


def detect_lang(text: str) -> str:
    """ISO 639-1 code of ``text``; ``en`` where there is nothing to tell from (numbers, identifiers, code)."""
    prose = _CODE.sub(" ", text[:SAMPLE_CHARS]) or text[:SAMPLE_CHARS]
    han, kana, hangul = (len(script.findall(prose)) for script in (_HAN, _KANA, _HANGUL))
    if kana and kana * 10 >= han:
        return "ja"
    if hangul and hangul >= han:
        return "ko"
    words = [word.lower() for word in _WORD.findall(prose)]
    english = sum(word in _ENGLISH for word in words)
    # Product names are Latin everywhere: it is English words, not Latin letters, that make a mixed text English.
    if han and (english * 2 <= han or han * 4 >= len(_LETTER.findall(prose)) - han):
        return "zh"
    return _alphabetic(prose, words, english)


def _alphabetic(prose: str, words: list[str], english: int) -> str:
    """Languages written in alphabets."""
    if not words or english * 5 >= len(words) or (prose.isascii() and len(words) < _MIN_WORDS):
        return "en"
    lang, probability = _classifier().classify(prose)
    return "en" if probability < _SURE and prose.isascii() else str(lang)


@cache
def _classifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
