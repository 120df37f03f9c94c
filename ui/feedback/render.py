"""An opinion as HTML, for the foot of an answer: thumbs, what was said, and the form. Pure.

The block is ``.dd-feedback`` with the number of its reply; feedback.js sends what is pressed in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ui.feedback.opinion import REASONS, Opinion, opinable
from ui.markdown import quote_html
from ui.text import clean, one_line, shorten

if TYPE_CHECKING:
    from ui.events import Source
    from ui.i18n import Words
    from ui.turns import Turn

QUOTED = 400  # characters of a correction that are shown outside the form


def feedback_html(turn: Turn, index: int, words: Words) -> str:
    """What the reader may say, or has said, of one reply; "" where nothing can be said yet."""
    if not opinable(turn, index):
        return ""
    reply = turn.replies[index]
    opinion = reply.opinion
    below = _form(turn, index, words) if opinion.open else _said(opinion, words)
    lost = escape(words("opinion.lost"))
    return (
        f'<div class="dd-feedback" data-choice="{index}" data-lost="{lost}">'
        f'<div class="dd-thumbs" role="group" aria-label="{escape(words("opinion.group"))}">'
        f"{_thumb('up', opinion, words)}{_thumb('down', opinion, words)}</div>{below}</div>"
    )


def _thumb(which: str, opinion: Opinion, words: Words) -> str:
    label, pressed = escape(words(f"opinion.{which}")), str(opinion.rating == which).lower()
    return (
        f'<button type="button" class="dd-thumb" data-opinion="{which}" aria-pressed="{pressed}" '
        f'aria-label="{label}" title="{label}">{_UP if which == "up" else _DOWN}</button>'
    )


def _said(opinion: Opinion, words: Words) -> str:
    """What has been said, once a thumb was given."""
    if not opinion.rating:
        return f'<div class="dd-opinion">{_failure(opinion)}</div>'
    more = words("opinion.edit" if opinion.wordy else "opinion.more")
    line = f'<span role="status">{escape(_thanks(opinion, words))}</span>{_button("edit", more)}'
    if opinion.should_have_said and opinion.review in ("", "kept"):
        line += _button("promote", words("opinion.promote"), "dd-promote")
    inside = f'<div class="dd-opinion-line">{line}</div>{_quoted(opinion, words)}{_failure(opinion)}'
    return f'<div class="dd-opinion" tabindex="-1">{inside}</div>'


def _thanks(opinion: Opinion, words: Words) -> str:
    if opinion.review in ("", "kept"):
        return words("opinion.thanks")
    return words.first(f"opinion.{opinion.review}.{opinion.use}", f"opinion.{opinion.review}")


def _quoted(opinion: Opinion, words: Words) -> str:
    if not opinion.should_have_said:
        return ""
    said = quote_html(shorten(opinion.should_have_said, QUOTED), ())
    return f'<div class="dd-corrected"><b>{escape(words("opinion.corrected"))}</b><div dir="auto">{said}</div></div>'


def _form(turn: Turn, index: int, words: Words) -> str:
    reply = turn.replies[index]
    opinion = reply.opinion
    reasons = ""
    if opinion.rating == "down":
        choices = [(name, words(f"opinion.reason.{name}")) for name in REASONS]
        reasons = _choices("reason", words("opinion.reasons"), choices, opinion.reasons)
    pages = _pages(reply.sources)
    gold = [url for url, _ in pages] if opinion.pages is None else opinion.pages
    corrected = _text("should_have_said", words("opinion.should"), opinion.should_have_said, 50_000, 4)
    corrected += f'<p class="dd-hint-small">{escape(words("opinion.should_more"))}</p>'
    if pages:
        corrected += _choices("page", words("opinion.pages"), pages, gold)
    buttons = (
        f'<button type="submit" class="dd-send">{escape(words("opinion.send"))}</button>'
        f"{_button('cancel', words('opinion.cancel'))}{_button('take_back', words('opinion.take_back'))}"
    )
    return (
        f'<form class="dd-opinion-form" aria-label="{escape(words("opinion.form"))}">{reasons}'
        f"{_text('comment', words('opinion.comment'), opinion.comment, 10_000, 2)}{corrected}{_failure(opinion)}"
        f'<div class="dd-opinion-line">{buttons}</div></form>'
    )


def _pages(sources: Sequence[Source]) -> list[tuple[str, str]]:
    """(url, title) of the pages under a reply, each once."""
    found = {source.url: source.title or source.url for source in sources if source.url}
    return [(url, one_line(shorten(title, 120))) for url, title in found.items()]


def _choices(name: str, legend: str, choices: Sequence[tuple[str, str]], chosen: Sequence[str]) -> str:
    boxes = "".join(
        f'<label class="dd-choice"><input type="checkbox" name="{name}" value="{escape(value)}"'
        f'{" checked" if value in chosen else ""}><span dir="auto">{escape(label)}</span></label>'
        for value, label in choices
    )
    return f"<fieldset><legend>{escape(legend)}</legend><div>{boxes}</div></fieldset>"


def _text(name: str, label: str, text: str, most: int, rows: int) -> str:
    about = f'name="{name}" rows="{rows}" maxlength="{most}" dir="auto"'
    area = f"<textarea {about}>\n{escape(clean(text))}</textarea>"  # a parser drops the first line break
    return f'<label class="dd-field"><span>{escape(label)}</span>{area}</label>'


def _button(do: str, label: str, extra: str = "") -> str:
    return f'<button type="button" class="dd-small {extra}" data-opinion="{do}">{escape(label)}</button>'


def _failure(opinion: Opinion) -> str:
    """Always there, so that a screen reader hears of what is put into it."""
    said = escape(one_line(shorten(opinion.failure, 600)))
    return f'<div class="dd-opinion-error" role="alert">{said}</div>'


def _icon(path: str) -> str:
    return f'<svg class="dd-icon" viewBox="0 0 24 24" aria-hidden="true">{path}</svg>'


_HAND = '<path d="M7 11v9H4v-9zM7 11l4-8a2.5 2.5 0 0 1 2.5 2.5V9H19a2 2 0 0 1 2 2.3l-1.2 7A2 2 0 0 1 17.8 20H7"/>'
_UP = _icon(_HAND)
_DOWN = _icon(f'<g transform="rotate(180 12 12)">{_HAND}</g>')
