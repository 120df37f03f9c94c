"""Pieces of a page: the document around it, tables, days. No script, no address, so that it can be sent on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from pathlib import Path

Cells = Sequence[str]


def document(title: str, body: str, lang: str = "en") -> str:
    """A whole document around ``body``, which brings its own style. ``title``: text, not HTML."""
    code = "zh-CN" if lang == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{code}"><head><meta charset="utf-8">'
        f"<title>DocDuet · {escape(title)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{style('page.css')}</style></head><body><main>{body}</main></body></html>\n"
    )


def table(title: str, heads: Cells, rows: Iterable[Cells]) -> str:
    """Of text. The first cell of a row is its name; the others are numbers."""
    return raw_table(
        title,
        [escape(head) for head in heads],
        ([escape(cell) for cell in row] for row in rows),
        title or " · ".join(filter(None, heads[:2])),
    )


def raw_table(title: str, heads: Cells, rows: Iterable[Cells], label: str, kind: str = "") -> str:
    """Of HTML, but for ``title`` and ``label``. Wide ones scroll by themselves, by keyboard too."""
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    top = "".join(f'<th scope="col">{head}</th>' if head else "<td></td>" for head in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    classes = " ".join(filter(None, ("dr-table", kind)))
    return (
        f'<div class="{classes}" role="region" tabindex="0" aria-label="{escape(label, quote=True)}"><table>{caption}'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def unbroken(text: str) -> str:
    """Text, as HTML, whose lines never break between a number and its "%"."""
    return escape(text.replace(" %", "\u00a0%"))


def day(moment: float, minutes: bool = False) -> str:
    """``moment``: Unix seconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC" if minutes else "%Y-%m-%d")


@cache
def style(name: str) -> str:
    """The style sheet of this name."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
