"""``docduet ask``: one answer in the terminal, streamed, then its sources.

    ask(Gateway("http://127.0.0.1:7860"), "How do I change the port?")  -> 0

Exit codes: 0 answered, 1 failed, 3 not in the docs. Text goes to stdout, everything about it to stderr; through a pipe
it is plain. Escapes and control characters in answers and documents never reach the terminal.
"""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text as Styled

from data.errors import GatewayError
from data.types import ANY, Filters
from ui.client import Gateway, user
from ui.events import Event, Marker, Sentence, Source, Started, Text, Unsupported
from ui.markdown import safe_href
from ui.text import clean, escape_controls, one_line, pieces, shorten
from ui.turns import Reply, Turn, after, dump, without_links_to

ANSWERED, FAILED, NOT_IN_DOCS = 0, 1, 3
QUOTED_LINES = 6  # lines of a quote that are shown
CHECKS = 3  # sentences that are named where the docs do not back them
AROUND = 200  # characters shown before the first matching word of a longer quote


def ask(
    gateway: Gateway,
    question: str,
    model: str = "rag",
    as_json: bool = False,
    console: Console | None = None,
    filters: Filters = ANY,
    lasting: bool = True,
) -> int:
    """Print the answer to ``question`` and return the exit code. GatewayError when the gateway gives none at all.

    ``lasting``: the gateway goes on running. Links to the pages of one that does not are dead, so paths stand there.
    """
    out = console or Console(highlight=False, soft_wrap=True)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    if not question.strip():
        raise GatewayError('the question is empty: ask one, as in docduet ask "How do I change the port?"')
    turn = Turn(key="terminal", question=question, voice=model)
    later: list[Event] = []  # of the second voice, which waits until the first has said all
    for event in gateway.ask([user(question)], model, filters):
        turn = after(turn, event if lasting else without_links_to(event, gateway.url))
        if isinstance(event, Started) and model == "auto" and not as_json:
            notes.print(Styled(f"auto: {one_line(event.reason)}", style="dim"))
        if getattr(event, "choice", 0):
            later.append(event)
        elif not as_json:
            _stream(event, out, notes)
    if as_json:
        out.print(Styled(escape_controls(json.dumps(_as_json(turn), ensure_ascii=False, indent=2))))
        return _exit_code(turn)
    _finish(turn.reply, out, notes, several=len(turn.replies) > 1)
    for reply in turn.replies[1:]:
        out.print()
        for event in later:
            _stream(event, out, notes)
        _finish(reply, out, notes, several=True)
    return _exit_code(turn)


def _exit_code(turn: Turn) -> int:
    """The best that one of the voices came to."""
    if any(reply.state != "failed" and not reply.refused for reply in turn.replies):
        return ANSWERED
    return NOT_IN_DOCS if any(reply.refused for reply in turn.replies) else FAILED


def _stream(event: Event, out: Console, notes: Console) -> None:
    """Print what an event adds to the answer."""
    match event:
        case Started(query=query, rewritten=True):
            notes.print(Styled(f"searched for: {one_line(query)}", style="dim"))
        case Marker(text):
            out.print(Styled(clean(text), style="bold cyan"), end="")
        case Text(text):
            out.print(Styled(clean(text)), end="")
        case _:
            return


def _finish(reply: Reply, out: Console, notes: Console, several: bool) -> None:
    """Print the sources and what else is worth knowing: of two voices also whose answer this was."""
    out.print()
    if several:
        out.print(Styled(f"— {one_line(reply.arm)}", style="dim"))
    for source in reply.sources:
        out.print()
        _print_source(source, out)
    _print_checks(reply, notes)
    if reply.degraded:
        notes.print(
            Styled(f"\nno model wrote this: {one_line(reply.degraded)}, so passages are quoted", style="yellow")
        )
    if reply.state == "failed":
        notes.print(Styled(f"docduet: {one_line(reply.failure)}", style="red"))


def _print_checks(reply: Reply, notes: Console) -> None:
    """What the docs say to the answer's sentences."""
    if reply.support:
        backed = [sentence for sentence in reply.support if sentence.page_id]
        pages = ", ".join(dict.fromkeys(one_line(sentence.title or sentence.url) for sentence in backed))
        said = f"{len(backed)} of {len(reply.support)} sentences are backed by the docs"
        notes.print(Styled(f"\n{said}{f': {pages}' if pages else ''}", style="dim"))
    unbacked = [sentence for sentence in reply.support or () if not sentence.page_id]
    for sentence in unbacked[:CHECKS]:
        notes.print(Styled(f"not in the docs: {_sentence(reply, sentence)}", style="yellow"))
    for cited in reply.unsupported[:CHECKS]:
        notes.print(Styled(f"not what source [{cited.n}] says: {_sentence(reply, cited)}", style="yellow"))
    for page in reply.stale:
        changed = one_line(page.title or page.url)
        notes.print(Styled(f"changed since the model learned it: {changed} ({one_line(page.url)})", style="yellow"))


def _sentence(reply: Reply, checked: Sentence | Unsupported) -> str:
    return shorten(one_line(reply.answer[checked.start : checked.end]), 120)


def _print_source(source: Source, out: Console) -> None:
    path = [source.title, *(part for part in source.heading_path if part != source.title)]
    head = Styled(f"[{source.n}] ", style="bold cyan")
    head.append(one_line(" > ".join(path)), style="bold default")
    out.print(head)
    if source.quote:
        out.print(_quote(source))
    out.print(Styled("    ").append_text(_link(source.href or source.url)))


def _link(href: str) -> Styled:
    """The page's address, without the quote it carries along; a terminal that can opens the whole of it."""
    shown = one_line(href.split("?quote=")[0])
    return Styled(shown, style=f"dim link {href}" if safe_href(href) else "")


def _quote(source: Source) -> Styled:
    """The part of the passage around its matching words, indented, the words in bold."""
    start = max(0, min((mark[0] for mark in source.marks), default=0) - AROUND)
    start = source.quote.rfind("\n", 0, start) + 1 if start else 0  # whole lines
    marks = [(a - start, b - start) for a, b in source.marks if a >= start]
    text = Styled()
    for piece, marked in pieces(source.quote[start:], marks):
        text.append(piece, style="bold" if marked else "")
    lines = [line for line in text.split("\n", allow_blank=True) if line.plain.strip()]
    shown = [Styled("    ").append_text(line) for line in lines[:QUOTED_LINES]]
    if len(lines) > QUOTED_LINES:
        shown.append(Styled("    …"))
    return Styled("\n").join(shown)


def _as_json(turn: Turn) -> dict[str, Any]:
    """The answer for programs: as it came, nothing left out. Of two voices each one's answer stands in ``choices``."""
    values = dump(turn)
    asked = {name: values[name] for name in ("question", "voice", "query", "reason")}
    replies = [_reply_as_json(reply) for reply in values["replies"]]
    return asked | (replies[0] if len(replies) == 1 else {"choices": replies})


def _reply_as_json(values: dict[str, Any]) -> dict[str, Any]:
    wanted = ("arm", "answer", "sources", "refused", "degraded", "timings_ms", "thinking")
    checked = ("support", "unsupported", "stale")
    failed = {"message": values["failure"], "code": values["failure_code"]} if values["state"] == "failed" else None
    return {**{name: values[name] for name in (*wanted, *checked)}, "error": failed}
