"""The list of conversations as HTML. Pure; titles are what people typed, so everything is escaped.

Which day an entry belongs to depends on where its reader is, so conversations.js puts the headings between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from ui.conversations.client import Entry, export_href
from ui.i18n import Words
from ui.text import one_line, shorten

TITLE = 120  # characters; the list cuts at its own width


def entries_html(entries: Sequence[Entry], words: Words) -> str:
    """One ``<li>`` for each."""
    return "".join(_entry(entry, words) for entry in entries)


def _entry(entry: Entry, words: Words) -> str:
    title = title_of(entry.title, words)
    shown, id = escape(shorten(title, TITLE)), escape(entry.id)
    more = escape(words("conversations.actions", title=shorten(title, 60)))
    return (
        f'<li class="dd-conversation" data-id="{id}" data-at="{entry.updated_at:.0f}" '
        f'data-export="{escape(export_href(entry.id))}">'
        f'<a href="#chat/{escape(quote(entry.id, safe=""))}" title="{escape(title)}" dir="auto">{shown}</a>'
        f'<button type="button" class="dd-dots" aria-haspopup="menu" aria-expanded="false" aria-label="{more}">'
        f"{_DOTS}</button></li>"
    )


def title_of(title: str, words: Words) -> str:
    """A title in one line; one that nobody gave has words of ours."""
    return one_line(title) or words("conversations.untitled")


def note_html(text: str) -> str:
    """What stands in the place of entries."""
    return f'<p class="dd-side-note">{escape(one_line(shorten(text, 300)))}</p>'


def missing_html(title: str, text: str) -> str:
    """What stands in the place of a conversation that cannot be shown."""
    return (
        f'<div class="dd-welcome dd-missing" role="alert"><h1>{escape(title)}</h1><p>{escape(one_line(text))}</p></div>'
    )


def toggle_html(words: Words) -> str:
    """The button that shows and hides the list."""
    label = escape(words("conversations"))
    return (
        f'<button type="button" class="dd-side-toggle" aria-controls="dd-side-list" aria-expanded="true" '
        f'aria-label="{label}" title="{label}">{_SIDE}</button>'
    )


_DOTS = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="4" cy="10" r="1.6"/><circle cx="10" cy="10" r="1.6"/>'
    '<circle cx="16" cy="10" r="1.6"/></svg>'
)
_SIDE = (
    '<svg class="dd-icon" viewBox="0 0 24 24" aria-hidden="true"><rect x="3" y="4.5" width="18" height="15" rx="3"/>'
    '<path d="M9.5 4.5v15"/></svg>'
)
