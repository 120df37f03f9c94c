"""Where the sentences of a text are: English and Chinese, in one line of prose or in a whole Markdown answer.

Offsets are characters, end exclusive, so that whoever shows the text can mark them. Code spans are never cut, and
citation markers behind a full stop belong to the sentence before them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MARKERS = r"(?:\s?\[\d{1,3}\])*+"
_END = re.compile(
    rf"[.!?][\"')\]*]*+{_MARKERS}(?=\s+[A-Z0-9`\"'*(\[\u4e00-\u9fff-])|[。！？][」”’)）]*+{_MARKERS}",
)
_ABBREVIATION = re.compile(r"(?:e\.g|i\.e|etc|vs|cf|approx|No)\.$", re.IGNORECASE)
_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LEAD = re.compile(r"\s*(?:[-*+>]\s+|>|\d{1,3}[.)]\s+|\[[ xX]\]\s+)*")
_FENCE = re.compile(r" {0,3}[> ]*(`{3,}|~{3,})")
_SAYS_NOTHING = re.compile(r"\s*(?:#{1,6}\s.*|[|\s:-]*|[*_=\s-]*)")


@dataclass(frozen=True)
class Span:
    """A sentence, a row of a table, or what stands in a code block (``code``)."""

    start: int
    end: int
    code: bool = False


def spans(line: str) -> Iterator[tuple[int, int]]:
    """The sentences of one line of prose, without the space around them."""
    hidden = _CODE_SPAN.sub(lambda m: "`" + "\x00" * (len(m[0]) - 1), line)
    start = 0
    for match in _END.finditer(hidden):
        if _ABBREVIATION.search(hidden, start, match.start() + 1):
            continue
        yield from _trimmed(line, start, match.end())
        start = match.end()
    yield from _trimmed(line, start, len(line))


def sentences(line: str) -> list[str]:
    """The sentences of one line of prose."""
    return [line[start:end] for start, end in spans(line)]


def first_sentence(text: str) -> int:
    """Where the first sentence of a text ends (offset); the text's length while none has ended.

    A sentence has ended when the next one begins: its citation markers may come after its full stop.
    """
    start = len(text) - len(text.lstrip())
    line = text[start:].split("\n", 1)[0]
    lead = _LEAD.match(line)
    skipped = lead.end() if lead else 0
    end = next((end for _, end in spans(line[skipped:])), len(line) - skipped)
    return start + skipped + end


def claims(text: str) -> list[Span]:
    """What a Markdown text says, piece by piece; headings, rules and empty lines say nothing."""
    found: list[Span] = []
    fence, opened, at = "", 0, 0
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence):
                found += [Span(start, end, code=True) for start, end in _trimmed(text, opened, at)]
                fence = ""
        elif mark:
            fence, opened = mark[1], at + len(line)
        else:
            found += _said(line, at)
        at += len(line)
    if fence:  # never closed: the answer was cut off in it
        found += [Span(start, end, code=True) for start, end in _trimmed(text, opened, at)]
    return found


def _said(line: str, at: int) -> list[Span]:
    if _SAYS_NOTHING.fullmatch(line.rstrip()):
        return []
    lead = _LEAD.match(line)
    skipped = lead.end() if lead else 0
    if line.lstrip().startswith("|"):
        return [Span(at + start, at + end) for start, end in _trimmed(line, 0, len(line))]
    return [Span(at + skipped + start, at + skipped + end) for start, end in spans(line[skipped:])]


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The piece without the white space around it, if anything is left."""
    piece = text[start:end]
    left = start + len(piece) - len(piece.lstrip())
    right = start + len(piece.rstrip())
    if left < right:
        yield left, right
