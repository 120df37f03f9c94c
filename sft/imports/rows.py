"""A file of questions and answers -> its rows: CSV, XLSX, JSON lines or a JSON array, in any encoding.

What the columns mean is columns.py's matter. Every error names the file, the line, and what was expected there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from data.text import decode

SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson", ".json")
_DELIMITERS = ",;\t|"

Fits = Callable[[Sequence[str]], bool]
"""Whether columns of these names hold questions and answers."""


@dataclass(frozen=True)
class Row:
    """One row; ``place`` says where it stands: "faq.csv: line 3" or "faq.xlsx: sheet Questions, row 3"."""

    place: str
    values: dict[str, Any]


def read_rows(path: Path, fits: Fits) -> Iterator[Row]:
    """The rows that hold anything, in order. Raises ConfigError."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} cannot be imported: give one of {', '.join(SUFFIXES)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    read = {".xlsx": _workbook, ".csv": _delimited, ".tsv": _delimited}.get(path.suffix.lower(), _json)
    found = False
    for row in read(path, data, fits):
        if any(value not in (None, "") for value in row.values.values()):
            found = True
            yield row
    if not found:
        raise ConfigError(f"{path} is empty: it needs a row with a question and an answer at least")


def _delimited(path: Path, data: bytes, _: Fits) -> Iterator[Row]:
    text = decode(data)
    csv.field_size_limit(1 << 30)  # a ticket's thread is longer than the default of 128 KiB
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    header: list[str] = []
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ConfigError(f"{path}: line {start} is not CSV ({error}): is a quotation mark never closed?") from None
        if cells is None:
            return
        if not header:
            header = [cell.strip() for cell in cells] if any(cell.strip() for cell in cells) else []
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise ConfigError(
                f"{path}: line {start} has {len(cells)} cells, the first line names {len(header)} columns: "
                f"{', '.join(header)}. Put texts that hold the delimiter in quotation marks"
            )
        yield Row(f"{path}: line {start}", dict(zip(header, cells, strict=False)))


def _delimiter(text: str) -> str:
    """What the first line uses most: names of columns hold no commas. (csv.Sniffer looks at the texts, which do.)"""
    first = next((line for line in text.split("\n") if line.strip()), "")
    return max(_DELIMITERS, key=lambda mark: (first.count(mark), -_DELIMITERS.index(mark)))


def _workbook(path: Path, data: bytes, fits: Fits) -> Iterator[Row]:
    """All sheets whose first row names questions and answers; the first one where none does, for the error's sake."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [(sheet.title, list(sheet.iter_rows(values_only=True))) for sheet in book.worksheets]
    except Exception as error:  # zip, XML, key and value errors come through
        raise ConfigError(
            f"{path} is no Excel workbook, or a damaged one ({type(error).__name__}): save it again as .xlsx or .csv"
        ) from None
    wanted = [(name, rows) for name, rows in sheets if rows and fits(_names(rows[0]))]
    for name, rows in wanted or sheets[:1]:
        header = _names(rows[0]) if rows else []
        for number, cells in enumerate(rows[1:], start=2):
            values = {head: _cell(cell) for head, cell in zip(header, cells, strict=False) if head}
            yield Row(f"{path}: sheet {name}, row {number}", values)


def _names(cells: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in cells]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _json(path: Path, data: bytes, _: Fits) -> Iterator[Row]:
    text = decode(data)
    if text.lstrip().startswith("["):
        yield from _array(path, text)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _object(f"{path}: line {number}", line)


def _object(place: str, line: str) -> Row:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(
            f'{place} is not JSON ({error}): each line must be an object such as {{"question": "...", "answer": "..."}}'
        ) from None
    if not isinstance(value, dict):
        raise ConfigError(f'{place} must be an object such as {{"question": "...", "answer": "..."}}')
    return Row(place, value)


def _array(path: Path, text: str) -> Iterator[Row]:
    try:
        listed = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON ({error})") from None
    for number, value in enumerate(listed, start=1):
        if not isinstance(value, dict):
            raise ConfigError(f"{path}: entry {number} is no object with a question and an answer")
        yield Row(f"{path}: entry {number}", value)
