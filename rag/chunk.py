"""A page's Markdown, cut into chunks along its headings.

A chunk is a slice of the page: ``page.body[start:end] == text``, always. Blocks (paragraphs, lists, code, tables) stay
whole where they fit; larger ones are cut at list items or lines. Tables and code stay whole beyond that, with a short
lead-in, up to a cap of their own: half a table misleads. Small sections join their neighbours under the same parent.
What a chunk's words cannot say (title, heading path, the header of a cut table) goes into ``context``, which is put
before the text for embedding and for BM25 and is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any

from data.types import Page

CHUNKER_VERSION = "2"
"""Part of an index's recipe: raise it when chunks come out differently."""

_CONTEXT_TOKENS = 30
"""Title and headings get this much beside a full chunk; what they take beyond it, the text does without."""

_LEAD_TOKENS = 60
"""A paragraph of up to so many tokens goes with the large table or code block that it introduces."""

_NEWLINE = re.compile(r"\r\n?|\n")
_PIECE = re.compile(r"[A-Za-z]{1,4}|\d*[^\D0-9]\d*|[0-9]{1,2}|[^\sA-Za-z\d]")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|(?<=,)\s|(?<=[，、])")


@dataclass(frozen=True)
class Chunk:
    """``start``/``end`` are character offsets into the page's body, end exclusive."""

    heading_path: tuple[str, ...]
    text: str
    start: int
    end: int
    context: str

    @property
    def searchable(self) -> str:
        """What is embedded and what BM25 sees."""
        return f"{self.context}\n{self.text}"


@dataclass(frozen=True)
class _Unit:
    """A slice that is not cut any further, or not yet: a block, a list item, a line."""

    start: int
    end: int
    tokens: int
    header: str = ""
    whole: bool = False  # larger than a chunk, and not to be cut all the same


@dataclass
class _Section:
    path: tuple[str, ...]
    units: list[_Unit] = field(default_factory=list)
    headings_only: bool = True

    @property
    def tokens(self) -> int:
        return sum(unit.tokens for unit in self.units)


def chunk_page(page: Page, max_tokens: int, whole_tokens: int = 0) -> list[Chunk]:
    """The page's chunks, in order. All text that is not blank is in exactly one of them.

    A chunk has at most ``max_tokens``, unless it is a table or a code block of at most ``whole_tokens``.
    """
    chunks = []
    for section in _merged(_sections(page, max_tokens, whole_tokens), max_tokens):
        context = " > ".join([page.title, *section.path])
        budget = max(max_tokens - max(0, estimate_tokens(context) - _CONTEXT_TOKENS), max_tokens // 2)
        for start, end, header in _packed(section.units, budget):
            text = page.body[start:end]
            start += len(text) - len(text.lstrip())
            text = text.strip()
            if text:
                whole = f"{context}\n{header}" if header else context
                chunks.append(Chunk(section.path, text, start, start + len(text), whole))
    return chunks


def estimate_tokens(text: str) -> int:
    """How many word pieces a BERT-like tokenizer makes of ``text``, rather too many than too few.

    A Chinese character and a punctuation mark are one each, digits come in pairs, letters in fours.
    """
    return len(_PIECE.findall(text))


def plain(heading: str) -> str:
    """A heading without Markdown's and HTML's marks."""
    text = re.sub(r"<[^>]+>|!?\[([^\]]*)\]\([^)]*\)", lambda m: m.group(1) or "", heading)
    text = re.sub(r"`+|\*\*|__", "", text)
    return re.sub(r"\s+", " ", text).strip(" *#")


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])  # structure only: inline marks are not looked at
    return parser


def _sections(page: Page, max_tokens: int, whole_tokens: int) -> list[_Section]:
    """Sections in order; every character of the body is in one unit of one of them."""
    sections = [_Section(())]
    stack: list[tuple[int, str]] = []
    for block in _blocks(page.body):
        if block.level:
            stack = [entry for entry in stack if entry[0] < block.level]
            if block.heading and not (not stack and block.heading == page.title.strip()):
                stack.append((block.level, block.heading))
            sections.append(_Section(tuple(name for _, name in stack)))
        sections[-1].units.extend(_units(page.body, block, max_tokens, whole_tokens))
        sections[-1].headings_only &= bool(block.level) or not page.body[block.start : block.end].strip()
    return [section for section in sections if section.units]


@dataclass(frozen=True)
class _Block:
    """A top-level block. ``level`` 1 to 6 for headings; ``cuts`` are offsets where a list's items begin."""

    start: int
    end: int
    level: int = 0
    heading: str = ""
    cuts: tuple[int, ...] = ()
    header: str = ""
    whole: bool = False  # a table or code


def _blocks(body: str) -> Iterator[_Block]:
    """The top-level blocks; each reaches to the start of the next, so nothing falls between two."""
    tokens = _parser().parse(body)
    lines = [0, *(match.end() for match in _NEWLINE.finditer(body)), len(body)]
    opening = [i for i, token in enumerate(tokens) if token.level == 0 and token.map and token.nesting >= 0]
    starts = [lines[tokens[i].map[0]] for i in opening]
    if not starts:  # blank, or nothing but link definitions
        yield _Block(0, len(body))
        return
    if body[: starts[0]].strip():
        yield _Block(0, starts[0])
    for i, start, end in zip(opening, starts, [*starts[1:], len(body)], strict=True):
        token = tokens[i]
        if token.type == "heading_open":
            yield _Block(start, end, int(token.tag[1]), plain(tokens[i + 1].content))
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            yield _Block(start, end, cuts=tuple(_item_starts(tokens, i, lines)))
        elif token.type == "table_open":
            yield _Block(start, end, header=body[start : lines[token.map[0] + 1]].strip(), whole=True)
        elif token.type in ("fence", "code_block"):
            yield _Block(start, end, whole=True)
        else:
            yield _Block(start, end)


def _item_starts(tokens: list[Any], at: int, lines: list[int]) -> Iterator[int]:
    """Where the items of the list that opens at ``tokens[at]`` begin."""
    for token in tokens[at + 1 :]:
        if token.level == 0:
            return
        if token.type == "list_item_open" and token.level == 1:
            yield lines[token.map[0]]


def _units(body: str, block: _Block, max_tokens: int, whole_tokens: int) -> list[_Unit]:
    """The block, whole where it fits, else cut at items, lines, sentences, and at last anywhere."""
    whole = _Unit(block.start, block.end, estimate_tokens(body[block.start : block.end]))
    if block.whole and max_tokens < whole.tokens <= whole_tokens:
        return [replace(whole, whole=True)]
    if whole.tokens <= max_tokens // 2 or (whole.tokens <= max_tokens and not block.cuts):
        return [whole]
    if block.cuts and len(block.cuts) > 1:
        borders = [block.start, *block.cuts[1:], block.end]
        items = [_Block(start, end) for start, end in pairwise(borders)]
        return [unit for item in items for unit in _units(body, item, max_tokens, whole_tokens)]
    return _lines(body, block, max_tokens)


def _lines(body: str, block: _Block, max_tokens: int) -> list[_Unit]:
    units: list[_Unit] = []
    ends = [block.start + m.end() for m in _NEWLINE.finditer(body[block.start : block.end])]
    for n, (start, end) in enumerate(pairwise([block.start, *[e for e in ends if e < block.end], block.end])):
        header = block.header if n > 1 else ""
        unit = _Unit(start, end, estimate_tokens(body[start:end]), header)
        units.extend([unit] if unit.tokens <= max_tokens // 2 else _sentences(body, unit, max_tokens // 2))
    return units


def _sentences(body: str, line: _Unit, max_tokens: int) -> Iterator[_Unit]:
    """A long line, cut after sentences; a sentence that is too long itself, cut by length."""
    ends = [line.start + m.end() for m in _SENTENCE.finditer(body[line.start : line.end])]
    for start, end in pairwise([line.start, *[e for e in ends if line.start < e < line.end], line.end]):
        tokens = estimate_tokens(body[start:end])
        # A character is never more than one token, so slices of max_tokens characters always fit.
        step = max_tokens if tokens > max_tokens else end - start
        for at in range(start, end, step):
            piece = body[at : min(at + step, end)]
            yield _Unit(at, at + len(piece), estimate_tokens(piece), line.header)


def _merged(sections: list[_Section], max_tokens: int) -> list[_Section]:
    """Small sections joined with the next one under the same parent, as long as both fit into one chunk."""
    small = max_tokens // 5
    merged: list[_Section] = []
    for section in sections:
        last = merged[-1] if merged else None
        if last and _joins(last, section, small, max_tokens):
            path = section.path if last.headings_only else _common(last.path, section.path)
            merged[-1] = _Section(path, last.units + section.units, last.headings_only and section.headings_only)
        else:
            merged.append(section)
    return merged


def _joins(left: _Section, right: _Section, small: int, max_tokens: int) -> bool:
    shared = len(_common(left.path, right.path))
    if left.headings_only and shared == len(left.path):  # a heading goes with its first subsection
        return left.tokens + (right.units[0].tokens if right.units else 0) <= max_tokens
    related = shared >= max(len(left.path), len(right.path)) - 1
    tiny = left.tokens <= small or right.tokens <= small
    return related and tiny and left.tokens + right.tokens <= max_tokens


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    n = 0
    while n < min(len(left), len(right)) and left[n] == right[n]:
        n += 1
    return left[:n]


def _packed(units: list[_Unit], budget: int) -> Iterator[tuple[int, int, str]]:
    """Units packed into (start, end, table header) slices of at most ``budget`` tokens (one unit may be more)."""
    group: list[_Unit] = []
    used = 0
    for unit in units:
        introduced = unit.whole and used <= _LEAD_TOKENS
        if group and used + unit.tokens > budget and not introduced:
            yield group[0].start, group[-1].end, group[0].header
            group, used = [], 0
        group.append(unit)
        used += unit.tokens
    if group:
        yield group[0].start, group[-1].end, group[0].header
