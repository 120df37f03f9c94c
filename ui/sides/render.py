"""Two answers side by side as HTML: columns, what is measured under each, differences, and the vote. Pure.

    sides_html(turn, [Column(text, copy, sources), Column(...)], words)

Before a blind vote nothing here tells the sides apart but their words: no name, no time, no number of citations. Styles
are in style.css; sides.js scrolls the columns together and sends the vote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ui.i18n import Words
from ui.markdown import sentences
from ui.sides.client import BAD, GOOD, LONGEST
from ui.sides.diff import only
from ui.text import clean, seconds
from ui.turns import Reply, Turn, Vote

WINNERS = ("0", "1", "tie", "both_bad")


@dataclass(frozen=True)
class Column:
    """One side's HTML, made elsewhere: what it says, its copy button, its sources; ``kind`` is a class of its state."""

    inside: str
    copy: str
    sources: str
    kind: str


def sides_html(turn: Turn, columns: Sequence[Column], words: Words) -> str:
    """Both columns with the switches above and the vote below."""
    sides = "".join(_side(turn, index, column, words) for index, column in enumerate(columns))
    tools, vote = _tools(turn, words), vote_html(turn, words)
    return f'<div class="dd-compare">{tools}<div class="dd-sides">{sides}</div>{vote}</div>'


def differences(turn: Turn) -> tuple[frozenset[str], frozenset[str]]:
    """Per side, the sentences that only it says; nothing until both have ended, and where one has no answer."""
    if not _comparable(turn):
        return frozenset(), frozenset()
    return only(turn.replies[0].answer, turn.replies[1].answer)


def _comparable(turn: Turn) -> bool:
    replies = turn.replies
    return len(replies) == 2 and all(r.answer.strip() and not r.running and not r.refused for r in replies)


def _tools(turn: Turn, words: Words) -> str:
    """Tabs for a narrow page, and the switches."""
    tabs = "".join(
        f'<button type="button" data-side="{index}">{words(f"side.{index}")}</button>'
        for index in range(len(turn.replies))
    )
    linked = _switch("link", words("sides.linked"), checked=True)
    return (
        f'<div class="dd-tools"><div class="dd-tabs" role="group" aria-label="{words("sides")}">{tabs}</div>'
        f"{linked}{_diff(turn, words)}</div>"
    )


def _diff(turn: Turn, words: Words) -> str:
    if not _comparable(turn):
        return ""
    if not any(differences(turn)):
        return f'<span class="dd-same">{words("sides.same")}</span>'
    return _switch("diff", words("sides.diff"), words("sides.diff_more"))


def _switch(name: str, label: str, title: str = "", checked: bool = False) -> str:
    more, state = f' title="{escape(title)}"' if title else "", " checked" if checked else ""
    box = f'<input type="checkbox" role="switch" data-switch="{name}"{state}>'
    return f'<label class="dd-switch dd-switch-{name}"{more}>{box}<span>{escape(label)}</span></label>'


def _side(turn: Turn, index: int, column: Column, words: Words) -> str:
    reply = turn.replies[index]
    side = words(f"side.{index}")
    name = f'<div class="dd-voice">{" · ".join(filter(None, [side, escape(_name(reply, words))]))}</div>'
    label = escape(words("side.answer", side=side))
    text = f'<div class="dd-side-text" role="region" tabindex="0" aria-label="{label}">{column.inside}</div>'
    busy = str(reply.running).lower()
    return (
        f'<div class="dd-side"><section class="dd-answer dd-{column.kind}" data-choice="{index}" aria-busy="{busy}">'
        f"{name}{text}{_footer(turn, reply, column.copy, words)}</section>{column.sources}</div>"
    )


def _name(reply: Reply, words: Words) -> str:
    return words.voice(reply.arm) if reply.arm else ""


def _footer(turn: Turn, reply: Reply, copy: str, words: Words) -> str:
    measured = "" if reply.running else " · ".join(escape(part) for part in _measured(turn, reply, words))
    return f'<div class="dd-footer">{copy}<span class="dd-times">{measured}</span></div>'


def _measured(turn: Turn, reply: Reply, words: Words) -> list[str]:
    """Length, citations and time; before a blind vote the length alone."""
    if not reply.answer.strip():
        return []
    length, unit = size(reply.answer)
    parts = [words("length.word") if (length, unit) == (1, "words") else words(f"length.{unit}", count=length)]
    if turn.secret or reply.refused:
        return parts
    cited = citations(reply)
    parts.append(words.first(f"citations.{cited}", "citations", count=cited))
    times = {name: reply.timings_ms.get(name) for name in ("first_token", "total")}
    return parts + [words(f"time.{name}", value=seconds(ms)) for name, ms in times.items() if ms]


def size(answer: str) -> tuple[int, str]:
    """How long an answer is: (words, "words"), or (characters, "characters") where it is mostly Chinese."""
    plain = re.sub(r"\[\d{1,3}\]", "", " ".join(sentences(answer)))
    han = len(re.findall("[\u3400-\u9fff\uf900-\ufaff]", plain))
    latin = len(re.findall(r"[^\W\u3400-\u9fff\uf900-\ufaff]+(?:[.'’:/_-]+[^\W\u3400-\u9fff\uf900-\ufaff]+)*", plain))
    return (han + latin, "characters") if han > latin else (latin, "words")


def citations(reply: Reply) -> int:
    """How often an answer cites a source that is there."""
    numbers = {source.n for source in reply.sources}
    return sum(int(number) in numbers for number in re.findall(r"\[(\d{1,3})\]", reply.answer))


def vote_html(turn: Turn, words: Words) -> str:
    """The vote: asked for, or given. "" where there is nothing to vote on."""
    if not turn.votable:
        broken = turn.blind and not turn.running and any(reply.state == "failed" for reply in turn.replies)
        return f'<p class="dd-note">{words("vote.no")}</p>' if broken else ""
    if turn.vote is None:
        return f'<div class="dd-vote-bar">{_form(turn, words)}</div>'
    change = "" if turn.blind else f'<details class="dd-revote"><summary>{words("vote.change")}</summary>'
    change += f"{_form(turn, words)}</details>" if change else ""
    return f'<div class="dd-vote-bar">{_voted(turn, turn.vote, words)}{change}</div>'


def _voted(turn: Turn, vote: Vote, words: Words) -> str:
    names = [escape(_name(reply, words)) for reply in turn.replies]
    named = (
        f'<span class="dd-voted-names">{words("voted.names", left=names[0], right=names[1])}</span>'
        if all(names)
        else ""
    )
    because = "".join(f'<span class="dd-because">{words(f"because.{reason}")}</span>' for reason in vote.reasons)
    comment = f'<q dir="auto">{escape(clean(vote.comment))}</q>' if vote.comment else ""
    said = f"<strong>{words(f'voted.{vote.winner}')}</strong>"
    return f'<div class="dd-voted" role="status" tabindex="-1">{said}{named}{because}{comment}</div>'


def _form(turn: Turn, words: Words) -> str:
    key, given = escape(turn.key), turn.vote
    choices = "".join(
        f'<label><input type="radio" name="vote-{key}" value="{winner}"{_checked(given and given.winner == winner)}>'
        f"<kbd>{number}</kbd><span>{words(f'vote.{winner}')}</span></label>"
        for number, winner in enumerate(WINNERS, 1)
    )
    comment = escape(clean(given.comment)) if given else ""
    secret = f'<p class="dd-note">{words("vote.blind")}</p>' if turn.secret else ""
    return (
        f'<form class="dd-vote" data-vote="{key}">'
        f'<fieldset class="dd-winner"><legend>{words("vote")}</legend>{choices}</fieldset>'
        f'{secret}<div class="dd-why">{_reasons(turn, "good", words)}{_reasons(turn, "bad", words)}'
        f'<textarea rows="2" maxlength="{LONGEST}" dir="auto" aria-label="{words("vote.comment")}" '
        f'placeholder="{words("vote.comment")}">{comment}</textarea>'
        f'<button type="submit">{words("vote.send")}</button></div><p class="dd-vote-error" role="alert"></p></form>'
    )


def _reasons(turn: Turn, which: str, words: Words) -> str:
    """Quick reasons: ``good`` ones for a better side, ``bad`` ones for two that are bad."""
    given = turn.vote.reasons if turn.vote else ()
    sourced = not turn.secret and any(reply.sources for reply in turn.replies)
    offered = BAD if which == "bad" else [reason for reason in GOOD if sourced or reason != "sources"]
    boxes = "".join(
        f'<label><input type="checkbox" value="{reason}"{_checked(reason in given)}>'
        f"<span>{words(f'because.{reason}')}</span></label>"
        for reason in offered
    )
    return f'<fieldset class="dd-reasons dd-reasons-{which}"><legend>{words("vote.why")}</legend>{boxes}</fieldset>'


def _checked(yes: object) -> str:
    return " checked" if yes else ""
