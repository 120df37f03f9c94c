"""How texts are compared: one spelling for what looks alike, and the pieces of an answer with their places. Pure."""

from __future__ import annotations

import re
import unicodedata

from data.citations import strip_markers
from data.sentences import spans

_CJK = "\u3400-\u9fff\uf900-\ufaff"
_MARKUP = re.compile(r"[`*\u200b\u200c\u200d\ufeff]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LOOSE = re.compile(rf"(?<=[{_CJK}]) | (?=[{_CJK},;:!?])")
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'"})


def normalised(text: str) -> str:
    """NFKC, lower case, without backticks and asterisks, 1,000 as 1000, white space squeezed: none beside Chinese
    or before a comma."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_QUOTES)
    text = re.sub(r"\s+", " ", _MARKUP.sub("", text)).strip()
    return _LOOSE.sub("", _THOUSANDS.sub("", text))


def said(text: str) -> str:
    """An answer as it is compared: normalised, without citation markers."""
    return normalised(strip_markers(text))


def pieces(text: str) -> list[tuple[int, str]]:
    """Every sentence or line of an answer, headings and code included, with its offset."""
    found, at = [], 0
    for line in text.splitlines(keepends=True):
        found += [(at + start, line[start:end]) for start, end in spans(line)]
        at += len(line)
    return found


def visible(text: str) -> int:
    """Characters that say something: without citation markers and white space."""
    return len(re.sub(r"\s+", "", strip_markers(text)))
