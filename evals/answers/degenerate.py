"""Degenerate answers, the article's "sometimes it twitches": empty ones, loops, and such as break off.

A loop: more than half of the answer's groups of four words (Chinese: characters) have been there before, seq-rep-4 of
Welleck et al., "Neural Text Generation with Unlikelihood Training" (ICLR 2020), or one short piece follows itself ten
times and more. Unfinished: the engine stopped at the length limit, a code block is never closed, or the last line of
prose has no end.
"""

from __future__ import annotations

import re
from typing import Literal

from data.citations import strip_markers

Kind = Literal["", "loop", "unfinished", "empty"]

FEWEST = 12
"""Groups of four: with fewer, repetition is told by pieces that follow themselves alone."""

_WORD = re.compile(r"[a-z0-9_./:-]+|[\u3400-\u9fff]")
_AGAIN = re.compile(r"((?=[^\s]*[\w\u3400-\u9fff])\S[^\n]{0,40}?)\1{9,}", re.IGNORECASE)
_FENCE = re.compile(r"^ {0,3}(?:> ?)*(?:```|~~~)", re.MULTILINE)
_BLOCK = re.compile(r"\s*(?:[-*+>|#]|\d{1,3}[.)]\s| {4})")
_END = re.compile(r"[.!?。！？…;；][\"'”’」』）)\]*_`]*$")


def degenerate(text: str, finish_reason: str = "stop") -> Kind:
    """What is wrong with the form of an answer; "" for nothing."""
    text = strip_markers(text).strip()
    if not any(map(str.isalnum, text)):
        return "empty"
    if repeated(text) > 0.5 or _AGAIN.search(text):
        return "loop"
    return "unfinished" if finish_reason == "length" or _breaks_off(text) else ""


def repeated(text: str, size: int = 4) -> float:
    """seq-rep-n: the share of groups of ``size`` words that have been there before; 0 for short texts."""
    words = _WORD.findall(text.lower())
    groups = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    return 1 - len(set(groups)) / len(groups) if len(groups) >= FEWEST else 0.0


def _breaks_off(text: str) -> bool:
    if len(_FENCE.findall(text)) % 2:
        return True
    last = text.split("\n")[-1].rstrip()
    if _FENCE.match(last) or _BLOCK.match(last) or _END.search(last):
        return False
    return last.endswith((":", "：", ",", "，", "、")) or len(_WORD.findall(text.lower())) > 3
