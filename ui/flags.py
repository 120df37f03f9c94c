"""Small marks behind the sentences of an answer, carried through the Markdown parser. Pure.

A private-use character stands for each mark while Markdown becomes HTML; it goes where it breaks neither emphasis nor
a table's row. Their signs are made by the style sheet, so that nobody copies them along with a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_FIRST, _COUNT = 0xF0000, 4096
_CARRIED = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _COUNT - 1)}]")
_CLOSING = " \t|*_~"  # what may end a sentence's Markdown and must stay behind its mark


@dataclass(frozen=True)
class Flag:
    """A mark behind the sentence that ends at ``end`` (characters, exclusive). ``label`` is what it says, ``href``
    where it leads ("": nowhere), ``kind`` its look: "backed", "unbacked"."""

    end: int
    kind: str
    label: str
    href: str = ""


def carry(text: str, flags: Sequence[Flag]) -> str:
    """``text`` with a character for each of ``flags``; one beyond the text is left out."""
    bare = _CARRIED.sub(" ", text)
    places = [(len(bare[: flag.end].rstrip(_CLOSING)), n) for n, flag in enumerate(flags[:_COUNT])]
    pieces, at = [], 0
    for place, n in sorted((place, n) for place, n in places if 0 <= flags[n].end <= len(bare)):
        pieces += [bare[at:place], chr(_FIRST + n)]
        at = place
    return "".join([*pieces, bare[at:]])


def uncarried(text: str) -> str:
    """``text`` without the characters of ``carry``."""
    return _CARRIED.sub("", text)


def put(html: str, flags: Sequence[Flag]) -> str:
    """``html`` with its carried characters as marks. The result is to be sanitised."""
    html = re.sub("<[^>]*>", lambda tag: _CARRIED.sub("", tag[0]), html)
    return _CARRIED.sub(lambda found: _mark(flags, ord(found[0]) - _FIRST), html)


def _mark(flags: Sequence[Flag], n: int) -> str:
    if n >= len(flags):
        return ""
    flag, label = flags[n], escape(flags[n].label)
    looks = f'class="dd-flag dd-flag-{flag.kind}" title="{label}" aria-label="{label}"'
    if flag.href:
        return f'<a {looks} href="{escape(flag.href)}" target="_blank"></a>'
    return f'<span {looks} role="img"></span>'
