"""A page's Markdown as a tree of sections with typed blocks. Everything is a slice: ``page.body[start:end]``.

Structure only: what the blocks mean is facts.py's business. A paragraph that is nothing but bold text ("**Training
arguments**:") heads what follows it, one level below every real heading.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal

from data.types import Page
from sft.rules.text import plain

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

Kind = Literal["prose", "bullets", "steps", "table", "code", "other"]

PSEUDO_LEVEL = 7
_BOLD_LINE = re.compile(r"\*\*([^*\n]{2,60})\*\*\s*[:：]?|\*\*([^*\n]{2,60})[:：]\*\*")
_MARKER = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])(?:\s+|$)")
_NESTED = re.compile(r"\s*(?:[-*+]\s|\d{1,9}[.)]\s|```|~~~|\||>\s)")
_KINDS: dict[str, Kind] = {
    "paragraph_open": "prose",
    "bullet_list_open": "bullets",
    "ordered_list_open": "steps",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
}


@dataclass(frozen=True)
class Item:
    """One item of a list: ``text`` is its first paragraph on one line, ``rest`` what is nested below, dedented."""

    text: str
    rest: str
    start: int
    end: int


@dataclass(frozen=True)
class Row:
    """One row of a table, cells as written."""

    cells: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Block:
    """``text`` is the slice, stripped. ``items`` for lists, ``header`` and ``rows`` for tables, ``info`` for code."""

    kind: Kind
    text: str
    start: int
    end: int
    items: tuple[Item, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    info: str = ""


@dataclass
class Section:
    """A heading and what stands below it. ``path``: the headings above it, outermost first, without the title.

    ``start`` is where its content begins (after the heading), ``end`` where its last subsection ends. The root has the
    page's title and level 0.
    """

    heading: str
    level: int
    path: tuple[str, ...]
    start: int
    end: int
    blocks: list[Block] = field(default_factory=list)
    children: list[Section] = field(default_factory=list)

    def walk(self) -> Iterator[Section]:
        """This section and all below it, in the page's order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def all_blocks(self) -> Iterator[Block]:
        """Its blocks and those of its subsections."""
        for section in self.walk():
            yield from section.blocks


def parse(page: Page) -> Section:
    """The page as a tree; the root's ``heading`` is the title."""
    body = page.body
    root = Section(plain(page.title), 0, (), 0, len(body))
    stack = [root]
    for level, heading, block in _pieces(body):
        if not level:
            stack[-1].blocks.append(block)
            continue
        while stack[-1].level >= level:
            stack.pop().end = block.start
        path = tuple(section.heading for section in stack[1:])
        section = Section(heading, level, path, block.end, len(body))
        stack[-1].children.append(section)
        stack.append(section)
    return root


def _pieces(body: str) -> Iterator[tuple[int, str, Block]]:
    """(level of a heading or 0, its text, the block) of every top-level block."""
    tokens = _parser().parse(body)
    lines = _line_starts(body)
    for at, token in enumerate(tokens):
        if token.level or token.nesting < 0 or not token.map:
            continue
        start, end = lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)]
        if token.type == "heading_open":
            yield int(token.tag[1]), plain(tokens[at + 1].content), Block("other", "", start, end)
            continue
        block = _block(body, tokens, at, lines, start, end)
        bold = _BOLD_LINE.fullmatch(block.text) if block.kind == "prose" else None
        if bold:
            yield PSEUDO_LEVEL, plain(bold[1] or bold[2]), block
        else:
            yield 0, "", block


def _block(body: str, tokens: list[Token], at: int, lines: list[int], start: int, end: int) -> Block:
    token = tokens[at]
    kind = _KINDS.get(token.type, "other")
    text = body[start:end].strip("\n").rstrip()
    if kind in ("bullets", "steps"):
        return Block(kind, text, start, end, items=tuple(_items(body, tokens, at, lines)))
    if kind == "table":
        header, *rows = list(_rows(tokens, at, lines)) or [Row((), start, end)]
        return Block(kind, text, start, end, header=header.cells, rows=tuple(rows))
    return Block(kind, text, start, end, info=token.info.strip() if token.type == "fence" else "")


def _items(body: str, tokens: list[Token], at: int, lines: list[int]) -> Iterator[Item]:
    for token in _inside(tokens, at):
        if token.type == "list_item_open" and token.level == 1 and token.map:
            start, end = lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)]
            yield _item(body[start:end], start, end)


def _item(source: str, start: int, end: int) -> Item:
    marker = _MARKER.match(source)
    first, *others = source[marker.end() if marker else 0 :].rstrip().split("\n")
    said = [first.strip()]
    while others and others[0].strip() and not _NESTED.match(others[0]):
        said.append(others.pop(0).strip())
    rest = textwrap.dedent("\n".join(others)).strip("\n").rstrip()
    return Item(_join(said), rest, start, end)


def _join(lines: list[str]) -> str:
    """Lines of one paragraph on one line: no space between two Chinese characters."""
    return re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])", "", " ".join(lines)).strip()


def _rows(tokens: list[Token], at: int, lines: list[int]) -> Iterator[Row]:
    cells: list[str] = []
    start = end = 0
    for token in _inside(tokens, at):
        if token.type == "tr_open" and token.map:
            cells, start, end = [], lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)]
        elif token.type == "inline":
            cells.append(token.content.strip())
        elif token.type == "tr_close":
            yield Row(tuple(cells), start, end)


def _inside(tokens: list[Token], at: int) -> Iterator[Token]:
    """The tokens between the one that opens at ``at`` and its end."""
    for token in tokens[at + 1 :]:
        if token.level == 0:
            return
        yield token


def _line_starts(body: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer(r"\n", body)), len(body)]


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser
