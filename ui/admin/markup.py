"""Pieces of HTML that the panel's sections are made of. Pure; whatever comes in is text and is escaped here."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ui.i18n import Words
from ui.text import clean, one_line, shorten


@dataclass(frozen=True)
class Safe:
    """HTML that was made here. Everything else is text."""

    html: str


Cell = Safe | str | int | float


def text(value: object) -> str:
    """``value`` as one line of escaped text."""
    return escape(one_line(str(value)))


def said(message: str) -> str:
    """A message of ours, its `commands` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(shorten(message, 1500)))


def lines(value: str) -> str:
    """Escaped text that keeps its lines."""
    return escape(clean(value))


def html(cell: Cell) -> str:
    if isinstance(cell, Safe):
        return cell.html
    return f"{cell:,}" if isinstance(cell, int) else text(cell)


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], label: str) -> str:
    """On a narrow screen each row is a card, and each cell says what it is."""
    top = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    body = "".join(f"<tr>{_cells(heads, row)}</tr>" for row in rows)
    return (
        f'<div class="dd-table-wrap"><table class="dd-list" aria-label="{text(label)}">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(heads: Sequence[str], row: Sequence[Cell]) -> str:
    pairs = zip(heads, row, strict=True)
    return "".join(f'<td data-label="{text(head)}"><span>{html(cell)}</span></td>' for head, cell in pairs)


def facts(pairs: Iterable[tuple[str, Cell]]) -> str:
    """A list of names and values; those without a value are left out."""
    kept = "".join(f"<div><dt>{text(name)}</dt><dd>{html(value)}</dd></div>" for name, value in pairs if value != "")
    return f'<dl class="dd-facts">{kept}</dl>'


def badge(kind: str, label: str) -> str:
    """``kind``: good, note, bad or plain."""
    return f'<span class="dd-badge dd-badge-{kind}">{text(label)}</span>'


def notice(kind: str, message: str) -> str:
    """What came of a click, or what is wrong. ``kind``: good or bad."""
    role = "alert" if kind == "bad" else "status"
    return f'<div class="dd-notice dd-notice-{kind}" role="{role}">{said(message)}</div>'


def button(label: str, action: str, target: str = "", confirm: str = "", kind: str = "") -> str:
    """``confirm``: asked before it is done."""
    data = f' data-target="{text(target)}"' if target else ""
    data += f' data-confirm="{text(confirm)}"' if confirm else ""
    key = text(f"{action}-{target}")
    return (
        f'<button type="button" class="dd-do {kind}" data-do="{action}" data-key="{key}"{data}>{text(label)}</button>'
    )


def when(at: float, words: Words) -> Safe:
    """How long ago, with the time itself beside it for those who point at it."""
    if not at:
        return Safe(f'<span class="dd-dim">{text(words("admin.never"))}</span>')
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    machine = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    ago = words.ago(max(0.0, time.time() - at)).strip()
    return Safe(f'<time datetime="{machine}" title="{stamp}">{text(ago)}</time>')


def size(count: float) -> str:
    """Bytes for people: ``12.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def head(title: str, about: str, actions: str = "") -> str:
    """The top of a section."""
    right = f'<div class="dd-actions">{actions}</div>' if actions else ""
    return f'<header class="dd-head"><div><h2 dir="auto">{text(title)}</h2><p>{said(about)}</p></div>{right}</header>'


def empty(message: str) -> str:
    return f'<p class="dd-empty-note">{said(message)}</p>'
