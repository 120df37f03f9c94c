"""Turns as HTML: what the conversation in the browser is made of. Pure; what comes from outside is made safe.

A turn is a question, an answer, and beside it the sources it cites, as numbered cards (``id="src-KEY-N"``). Styles are
in style.css; chat.js puts the turns on the page and makes markers, cards and buttons work.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape
from typing import Any

from ui.chat.details import checks_html, details_html, flags
from ui.chat.filters import shown
from ui.client import Readiness
from ui.events import Source
from ui.feedback.render import feedback_html
from ui.i18n import Words
from ui.markdown import answer_html, quote_html, safe_href
from ui.sides.render import Column, differences, sides_html
from ui.text import clean, one_line, shorten
from ui.turns import Reply, Turn, dump, plain_text, sources_text

FOLDED = 260  # characters; longer quotes start folded


def item(turn: Turn, words: Words) -> dict[str, Any]:
    """One turn as the browser keeps it: HTML to show, what to copy of each reply, data to send back."""
    done = () if turn.running else turn.replies
    copies = [{"text": plain_text(reply), "sources": sources_text(reply)} for reply in done]
    return {"key": turn.key, "html": turn_html(turn, words), "copies": copies, "turn": dump(turn)}


def turn_html(turn: Turn, words: Words) -> str:
    """Question, answer and sources; two replies stand side by side."""
    question = _question(turn, words) + _filtered(turn, words)
    if len(turn.replies) > 1:
        columns = [_column(turn, index, words) for index in range(len(turn.replies))]
        below = (
            ""
            if turn.running
            else f'<div class="dd-footer">{_again(words)}{"" if turn.secret else details_html(turn, words)}</div>'
        )
        above = question + _query(turn, words)
        return f'<div class="dd-turn-sides">{above}{sides_html(turn, columns, words)}{below}</div>'
    answer, sources = _section(turn, words), _sources(turn.reply, turn.key, words)
    layout = "dd-turn-grid dd-with-sources" if sources else "dd-turn-grid"
    return f'<div class="{layout}"><div class="dd-main">{question}{answer}</div>{sources}</div>'


def _question(turn: Turn, words: Words) -> str:
    said = f'<div class="dd-question" dir="auto">{escape(clean(turn.question))}</div>'
    if turn.running:
        return f'<div class="dd-ask">{said}</div>'
    named = f'title="{escape(words("edit"))}" aria-label="{escape(words("edit"))}"'
    return f'<div class="dd-ask">{said}<button type="button" class="dd-act" data-edit {named}>{_PEN}</button></div>'


def _column(turn: Turn, index: int, words: Words) -> Column:
    """One of several replies."""
    reply, key = turn.replies[index], f"{turn.key}-{index}"
    said = _said(turn, reply, key, words, differences(turn)[index] if index < 2 else ())
    return Column(
        said,
        _copies(reply, words) + feedback_html(turn, index, words),
        _sources(reply, key, words, unfolded=False),
        _kind(reply),
    )


def _section(turn: Turn, words: Words) -> str:
    """The only reply, without its sources."""
    reply = turn.reply
    inside = _voice(turn, words) + _query(turn, words) + _said(turn, reply, turn.key, words)
    busy, footer = str(reply.running).lower(), _footer(turn, 0, words)
    return f'<section class="dd-answer dd-{_kind(reply)}" data-choice="0" aria-busy="{busy}">{inside}{footer}</section>'


def welcome_html(words: Words, examples: Sequence[str]) -> str:
    """The empty conversation: what this is, and questions to start with, where there are any."""
    asks = "".join(
        f'<button type="button" class="dd-example" data-ask="{escape(text)}">'
        f"<span>{escape(text)}</span>{_ARROW}</button>"
        for text in examples
    )
    tries = f'<div class="dd-examples"><h2>{words("try")}</h2>{asks}</div>' if asks else ""
    return f'<div class="dd-welcome">{LOGO}<h1>{words("welcome")}</h1><p>{words("welcome_more")}</p>{tries}</div>'


def brand_html(title: str) -> str:
    """Logo and title."""
    return f'<div class="dd-brand">{LOGO}<span>{escape(title)}</span></div>'


def banner_html(state: Readiness | str, words: Words) -> str:
    """What a reader must know before asking, or "". A string is the reason why the gateway does not answer."""
    if isinstance(state, str):
        return _banner("bad", words("banner.down", reason=state))
    if not state.ready:
        return _banner("bad", words("banner.not_ready", reason=state.error))
    if state.mode != "quoting":
        return _banner("note", words("banner.demo")) if state.demo else ""
    return _banner("note", words(f"banner.engine_{state.engine}" if state.engine else "banner.quoting"))


def status_html(state: Readiness, words: Words, now: float) -> str:
    """When the docs were last refreshed; a failure opens to its reason. "" where nothing is refreshed."""
    ago = words("refreshed", ago=words.ago(now - state.refreshed_at)) if state.refreshed_at else ""
    if not state.refresh_error:
        return f'<span class="dd-status">{ago}</span>' if ago else ""
    said = " · ".join(filter(None, [ago, words("refresh_failed")]))
    return (
        f'<details class="dd-status dd-status-bad"><summary>{said}</summary>'
        f'<div dir="auto">{_message(state.refresh_error)}</div></details>'
    )


def _kind(reply: Reply) -> str:
    return "refused" if reply.refused else reply.state


def _said(turn: Turn, reply: Reply, key: str, words: Words, marked: Collection[str] = ()) -> str:
    """Thinking, answer, notes and failure. ``marked``: sentences that another reply does not say."""
    label = f'<div class="dd-label">{_SEARCH}{words("refused")}</div>' if reply.refused else ""
    parts = [_thinking(reply, words), label, _prose(turn, reply, key, words, marked), _notes(turn, reply, words)]
    return "".join([*parts, checks_html(reply, words), _failure(reply, words)])


def _voice(turn: Turn, words: Words) -> str:
    arm = turn.reply.arm
    chosen = words.voice("auto") if turn.voice == "auto" and arm not in ("", "auto") else ""
    said = " · ".join(part for part in (chosen, words.voice(arm or turn.voice)) if part)
    return f'<div class="dd-voice">{escape(said)}</div>'


def _filtered(turn: Turn, words: Words) -> str:
    if not turn.filters:
        return ""
    said = escape(words("filtered", filters=_pages(turn, words)))
    return f'<div class="dd-filtered">{_FUNNEL}<span>{said}</span></div>'


def _pages(turn: Turn, words: Words) -> str:
    return one_line(shorten(shown(turn.filters, words), 200))


def _query(turn: Turn, words: Words) -> str:
    if not turn.query:
        return ""
    query = f'<q dir="auto">{escape(shorten(one_line(turn.query), 600))}</q>'
    return f'<div class="dd-query">{_SEARCH}<span>{words("searched")} {query}</span></div>'


def _thinking(reply: Reply, words: Words) -> str:
    if not reply.thinking.strip():
        return ""
    text = escape(clean(reply.thinking.strip()))
    return f'<details class="dd-thinking"><summary>{words("thinking")}</summary><div>{text}</div></details>'


def _prose(turn: Turn, reply: Reply, key: str, words: Words, marked: Collection[str]) -> str:
    if reply.answer.strip():
        numbers = [source.n for source in reply.sources]
        html = answer_html(reply.answer, key, numbers, words("copy"), words("source"), flags(reply, words), marked)
        return f'<div class="dd-prose" dir="auto">{html}</div>'
    if reply.running:
        wait = words.first(f"waiting.{turn.voice}", "waiting")
        return f'<div class="dd-wait" role="status"><i></i><i></i><i></i><span>{wait}</span></div>'
    return f'<p class="dd-note">{words("empty_answer")}</p>' if reply.state == "done" else ""


def _notes(turn: Turn, reply: Reply, words: Words) -> str:
    notes = []
    if reply.state == "stopped":
        notes.append(words("stopped"))
    if reply.refused:
        filtered = words("refused_filtered", filters=_pages(turn, words)) if turn.filters else ""
        notes.append(filtered or words("refused_hint"))
    elif reply.degraded:
        notes.append(words.first(f"degraded.{reply.degraded}", "degraded", reason=shorten(reply.degraded, 300)))
    elif reply.state == "done" and reply.arm in ("base", "sft") and not reply.support:
        notes.append(words("unsourced"))
    return "".join(f'<p class="dd-note">{escape(one_line(note))}</p>' for note in notes)


def _failure(reply: Reply, words: Words) -> str:
    if reply.state != "failed":
        return ""
    title = words.first(f"failed.{reply.failure_code}", "failed")
    again = f'<button type="button" class="dd-retry" data-again><span>{words("retry")}</span></button>'
    return f'<div class="dd-error" role="alert"><strong>{title}</strong><p>{_message(reply.failure)}</p>{again}</div>'


def _footer(turn: Turn, index: int, words: Words) -> str:
    """What can be done with an answer, and how it came about."""
    reply = turn.replies[index]
    if reply.running:
        return ""
    parts = [_copies(reply, words), feedback_html(turn, index, words)]
    parts += [_again(words), details_html(turn, words)]
    inside = "".join(parts)
    return f'<div class="dd-footer">{inside}</div>' if inside else ""


def _copies(reply: Reply, words: Words) -> str:
    if reply.running or reply.refused or not reply.answer.strip():
        return ""
    kinds = ["answer", "sources"] if reply.sources else ["answer"]
    return "".join(_act(f'data-copy="{kind}"', _COPY, words(f"copy.{kind}")) for kind in kinds)


def _again(words: Words) -> str:
    """Ask the same again: the same voice, or another one from a menu (actions.js)."""
    named = f'title="{escape(words("again_with"))}" aria-label="{escape(words("again_with"))}"'
    menu = f'<button type="button" class="dd-act" data-again-with aria-haspopup="menu" {named}>{_DOWN}</button>'
    return f'<span class="dd-again">{_act("data-again", _AGAIN, words("retry"))}{menu}</span>'


def _act(what: str, icon: str, label: str) -> str:
    return f'<button type="button" class="dd-act" {what}>{icon}<span>{escape(label)}</span></button>'


def _sources(reply: Reply, key: str, words: Words, unfolded: bool = True) -> str:
    if not reply.sources or reply.refused:
        return ""
    cards = "".join(_card(source, key, words) for source in reply.sources)
    state, title = " open" if unfolded else "", words("sources", count=len(reply.sources))
    return f'<aside class="dd-sources"><details{state}><summary>{title}</summary><ol>{cards}</ol></details></aside>'


def _card(source: Source, key: str, words: Words) -> str:
    path = [shorten(one_line(part), 120) for part in source.heading_path if part != source.title]
    labels = shorten(one_line(" ".join(filter(None, [source.product, source.version]))), 120)
    tag = f'<div class="dd-path"><span class="dd-tag" dir="auto">{escape(labels)}</span></div>' if labels else ""
    trail = f'<div class="dd-path">{" › ".join(escape(part) for part in path)}</div>' if path else ""
    quote, more = quote_html(source.quote, source.marks), ""
    if len(source.quote) > FOLDED:
        labels = f'data-more="{words("more")}" data-less="{words("less")}"'
        more = f'<button type="button" class="dd-more" aria-expanded="false" {labels}>{words("more")}</button>'
    folded = " dd-folded" if more else ""
    foot = _open(source, words) + more
    return (
        f'<li class="dd-card" id="src-{escape(key)}-{source.n}" tabindex="-1">'
        f'<div class="dd-card-head"><span class="dd-number">{source.n}</span>'
        f'<div><div class="dd-title" dir="auto">{escape(shorten(one_line(source.title), 160))}</div>'
        f"{trail}{tag}</div></div>"
        f'<blockquote class="dd-quote{folded}" dir="auto" lang="{escape(source.lang)}">{quote}</blockquote>'
        f"{f'<div class=dd-card-foot>{foot}</div>' if foot else ''}</li>"
    )


def _open(source: Source, words: Words) -> str:
    href = safe_href(source.href)
    if not href:
        return ""
    if href.startswith("/pages/") and "#" not in href:
        href += "#quote"  # the stored page opens at the quote
    return (
        f'<a class="dd-open" href="{escape(href)}" target="_blank" rel="noopener noreferrer">'
        f'{words("open_page")}<span aria-hidden="true"> ↗</span></a>'
    )


def _banner(kind: str, text: str) -> str:
    return f'<div class="dd-banner dd-banner-{kind}" role="status">{_message(text)}</div>'


def _message(text: str) -> str:
    """A message of ours, with its `commands` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(one_line(shorten(text, 600))))


def _icon(path: str) -> str:
    return f'<svg class="dd-icon" viewBox="0 0 24 24" aria-hidden="true">{path}</svg>'


_SEARCH = _icon('<circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/>')
_FUNNEL = _icon('<path d="M4 5h16l-6.2 7.6V19l-3.6-2v-4.4z"/>')
_COPY = _icon('<rect x="9" y="9" width="11" height="11" rx="2"/><path d="M5 15V6a2 2 0 0 1 2-2h8"/>')
_AGAIN = _icon('<path d="M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6"/>')
_DOWN = _icon('<path d="m7 10 5 5 5-5"/>')
_PEN = _icon('<path d="M4 20h4L19 9l-4-4L4 16zM13.5 6.5l4 4"/>')
_ARROW = _icon('<path d="M5 12h14M13 6l6 6-6 6"/>')
LOGO = (
    '<svg class="dd-logo" viewBox="0 0 32 32" aria-hidden="true">'
    '<path class="dd-logo-a" d="M4 7a4 4 0 0 1 4-4h10a4 4 0 0 1 4 4v6a4 4 0 0 1-4 4h-6l-5 4v-4.1A4 4 0 0 1 4 13z"/>'
    '<path class="dd-logo-b" '
    'd="M25 11a4 4 0 0 1 3 3.9V21a4 4 0 0 1-3 3.9V29l-5-4h-6a4 4 0 0 1-3.6-2.3L13.6 20H18a7 7 0 0 0 7-7z"/>'
    "</svg>"
)
