"""What a page states, as typed facts. Each knows the slice of the page it comes from: ``page.body[start:end]``.

Nothing is put into words here: questions are english.py's and chinese.py's, answers those of the shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sft.rules.blocks import Block, Item, Row, Section
from sft.rules.corpus import Document
from sft.rules.text import balanced, clean, plain, shuffled

_TERM = re.compile(
    r"(?:\*\*)?(?P<tick>`?)(?P<term>--?[A-Za-z][\w-]*|[A-Za-z_][\w.-]*(?:/[A-Za-z_][\w.-]*){0,2})(?P=tick)(?:\*\*)?"
    r"(?:\s*[(（][^()（）]{1,40}[)）])?\s*(?:[:：]|\s[-–—]\s)(?:\*\*)?\s*(?P<text>\S.*)",
    re.DOTALL,
)
_BOLD = re.compile(r"\*\*(?P<term>[^*`]{2,50}?)\s*[:：]?\*\*\s*(?:[:：]|[-–—]\s)?\s*(?P<text>\S.*)", re.DOTALL)
_NO_TERM = re.compile(
    r"(?:note|notes|tip|tips|hint|warning|example|examples|e\.g|important|caution|remark|todo|link|links|see|ps|"
    r"author|authors|reference|references|paper|input|output|default|step\s*\d*|q\d*|a\d*|https?|http|"
    r"注意|注|提示|例如|示例|比如|说明|参考|警告|备注|建议|作者)",
    re.IGNORECASE,
)
_KEY_HEADER = re.compile(
    r"(?:parameters?|arguments?|options?|names?|fields?|keys?|flags?|settings?|variables?|"
    r"environment variables?|commands?|codes?|attributes?|metrics?|columns?|methods?|types?|"
    r"property|properties|endpoints?|words?|terms?|files?|"
    r"参数|参数名|名称|选项|字段|键|变量|环境变量|命令|设置|属性|指标|列|方法|类型|配置项|配置|错误码|词|术语|文件)(?:\s*(?:name|key|名称|名))?",
    re.IGNORECASE,
)
_TEXT_HEADER = re.compile(
    r"(?:description|meaning|explanation|purpose|notes?|what it (?:does|is|means)|effect|function|usage|"
    r"说明|描述|含义|解释|作用|用途|备注|功能|意思)",
    re.IGNORECASE,
)
_DEFAULT_HEADER = re.compile(r"default(?: value)?|默认(?:值)?", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"(?:same|see|refer|identical|ditto|as in|equivalent to|consistent with)\b|"
    r"同上|同[A-Z`]|参考|参见|请参|详见|见|与.{1,40}(?:相同|一致|同义)",
    re.I,
)
ROWS_A_TABLE = 24
"""Rows taken of one table: a list of two thousand models must not drown the rest."""

_CELL_MARKS = {"✔": "yes", "✅": "yes", "✓": "yes", "✘": "no", "❌": "no", "✗": "no", "×": "no"}


@dataclass(frozen=True, eq=False)
class Definition:
    """A term and what the page says it is. ``name``: an identifier (else a phrase in plain words).

    ``text`` is the first sentence or more, on one line; ``rest`` what stands below it (notes); ``default`` and
    ``header`` where it is the row of a table.
    """

    document: Document
    section: Section
    term: str
    name: bool
    text: str
    rest: str
    start: int
    end: int
    default: str = ""
    header: str = ""

    @property
    def body(self) -> str:
        return f"{self.text}\n{self.rest}" if self.rest else self.text

    @property
    def support(self) -> str:
        return f"{self.header}\n{self.document.page.body[self.start : self.end]}".strip()


@dataclass(frozen=True, eq=False)
class Record:
    """A row of a table that is no list of definitions: ``fields`` are (header, cell) without the empty ones."""

    document: Document
    section: Section
    header: str
    key: str
    fields: tuple[tuple[str, str], ...]
    start: int
    end: int

    @property
    def support(self) -> str:
        heads = " | ".join([self.header, *(head for head, _ in self.fields)])
        return f"{heads}\n{self.document.page.body[self.start : self.end]}"


@dataclass(frozen=True, eq=False)
class Passage:
    """A paragraph or list item with what it introduces (the code or list after its colon). ``said``: its first line."""

    document: Document
    section: Section
    said: str
    text: str
    start: int
    end: int

    @property
    def support(self) -> str:
        return self.document.page.body[self.start : self.end]


def definitions(document: Document) -> Iterator[Definition]:
    """Bullets "term: text" and rows of tables whose first column names things."""
    for section in document.root.walk():
        for block in section.blocks:
            if block.kind == "bullets":
                yield from _bullet_definitions(document, section, block)
            elif block.kind == "table" and is_definition_table(block):
                for row in block.rows:
                    yield from _row_definition(document, section, block, row)


def records(document: Document) -> Iterator[Record]:
    """Rows of all other tables with a header and unlike keys."""
    for section in document.root.walk():
        for block in section.blocks:
            if block.kind == "table" and not is_definition_table(block):
                yield from _records(document, section, block)


def passages(document: Document) -> Iterator[Passage]:
    """Paragraphs and list items, each with what it introduces."""
    for section in document.root.walk():
        for at, block in enumerate(section.blocks):
            if block.kind == "prose":
                yield _paragraph(document, section, at)
            for item in block.items:
                text = clean(f"{item.text}\n{item.rest}" if item.rest else item.text)
                yield Passage(document, section, clean(item.text), text, item.start, item.end)


def is_definition_table(block: Block) -> bool:
    """A key column first, and at least one column that explains."""
    heads = [plain(cell) for cell in block.header]
    return (
        len(heads) >= 2
        and bool(_KEY_HEADER.fullmatch(heads[0]))
        and any(_TEXT_HEADER.fullmatch(head) for head in heads[1:])
    )


def _bullet_definitions(document: Document, section: Section, block: Block) -> Iterator[Definition]:
    for item in block.items:
        found = _definition_in(item)
        if found:
            term, name, text = found
            yield Definition(document, section, term, name, text, clean(item.rest), item.start, item.end)


def _definition_in(item: Item) -> tuple[str, bool, str] | None:
    said = clean(item.text)
    found = _TERM.match(said)
    if found and not _NO_TERM.fullmatch(found["term"]) and not said.startswith(("http:", "https:")):
        term = found["term"]
        bare = not found["tick"] and not re.search(r"[_-]|\d", term) and (term[0].isupper() and not term.isupper())
        text = found["text"].removeprefix("**").strip()
        # "Python: ..." in a list of prose is a phrase, not an option.
        return (term, not bare, text) if _is_statement(text) else None
    bold = _BOLD.match(said)
    if bold and not _NO_TERM.fullmatch(bold["term"].strip()) and _is_statement(bold["text"]):
        term = bold["term"].strip()
        return (
            None
            if re.search(r"[?？!！。,，;；=]|\d{3}", term) or len(term.split()) > 5
            else (term, False, bold["text"])
        )
    return None


def _is_statement(text: str) -> bool:
    """Long enough to say something, and not just a link or a piece of code."""
    if _ELSEWHERE.match(text):
        return False
    words = re.sub(r"https?://\S+|`[^`]*`|\[[^\]]*\]\([^)]*\)", " ", text)
    latin, han = len(re.findall(r"[A-Za-z]{2,}", words)), len(re.findall(r"[\u4e00-\u9fff]", words))
    return (latin >= 3 or han >= 4 or latin + han >= 6) and balanced(text)


def _row_definition(document: Document, section: Section, block: Block, row: Row) -> Iterator[Definition]:
    heads = [plain(cell) for cell in block.header]
    cells = [clean(cell) for cell in row.cells]
    if not cells or not cells[0].strip():
        return
    term = plain(cells[0])
    fields = {head: cell for head, cell in zip(heads[1:], cells[1:], strict=False) if head and cell.strip("-— ")}
    text = next((cell for head, cell in fields.items() if _TEXT_HEADER.fullmatch(head)), "")
    default = next((cell for head, cell in fields.items() if _DEFAULT_HEADER.fullmatch(head)), "")
    others = [f"- {head}: {cell}" for head, cell in fields.items() if cell != text]
    identifier = re.fullmatch(r"(?:docduet )?-{0,2}[A-Za-z_][\w.:/-]*", term) is not None
    if text and len(term) <= 60 and _is_statement(text):
        yield Definition(
            document, section, term, identifier, text, "\n".join(others), row.start, row.end, default, " | ".join(heads)
        )


def _records(document: Document, section: Section, block: Block) -> Iterator[Record]:
    heads = [plain(cell) for cell in block.header]
    keys = [plain(row.cells[0]) if row.cells else "" for row in block.rows]
    if len(heads) < 2 or not heads[0] or len(set(keys)) < len(keys) or len(keys) < 2:
        return
    chosen = set(shuffled(keys, "rows")[:ROWS_A_TABLE])
    for key, row in zip(keys, block.rows, strict=True):
        if key not in chosen:
            continue
        cells = [_cell(cell) for cell in row.cells]
        fields = tuple((h, c) for h, c in zip(heads[1:], cells[1:], strict=False) if h and c.strip("-— "))
        if key and fields and len(key) <= 80:
            yield Record(document, section, heads[0], key, fields, row.start, row.end)


def _cell(cell: str) -> str:
    text = clean(cell).strip()
    return _CELL_MARKS.get(text, text)


def _paragraph(document: Document, section: Section, at: int) -> Passage:
    """A paragraph; where it ends in a colon, with the blocks it introduces (and the code right after a list)."""
    block = section.blocks[at]
    end, parts = block.end, [block.text]
    rest = iter(section.blocks[at + 1 :])
    if re.search(r"[:：]\**$", block.text):
        for follower in rest:
            parts.append(follower.text)
            end = follower.end
            if not re.search(r"[:：]\**$", follower.text):
                break
    said = clean(" ".join(block.text.split("\n")))
    return Passage(document, section, said, clean("\n\n".join(parts)), block.start, end)
