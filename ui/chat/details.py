"""What stands behind an answer: what the docs say to its sentences, and how it came about, behind one click. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ui.events import Sentence, Stale
from ui.flags import Flag
from ui.i18n import Words
from ui.markdown import safe_href
from ui.text import one_line, shorten
from ui.turns import Reply, Turn

TIMES = ("rewrite", "translate", "retrieve", "first_token", "verify", "total")


def flags(reply: Reply, words: Words) -> list[Flag]:
    """A mark for each checked sentence of a learned answer, and for each cited one that its source does not back."""
    learned = [_flag(sentence, words) for sentence in reply.support or ()]
    cited: dict[int, list[int]] = {}
    for found in reply.unsupported:
        cited.setdefault(found.end, []).append(found.n)
    doubted = [
        Flag(end, "unbacked", words("flag.unsupported", sources=", ".join(f"[{n}]" for n in numbers)))
        for end, numbers in cited.items()
    ]
    return [*learned, *doubted]


def _flag(sentence: Sentence, words: Words) -> Flag:
    if not sentence.page_id:
        return Flag(sentence.end, "unbacked", words("flag.unbacked"))
    return Flag(sentence.end, "backed", words("flag.backed", page=_title(sentence)), _page(sentence))


def checks_html(reply: Reply, words: Words) -> str:
    """What came of the checks, in words, under an answer; "" where there were none, or nothing is to be said."""
    return _support(reply, words) + _unsupported(reply, words) + _stale(reply, words)


def _support(reply: Reply, words: Words) -> str:
    if not reply.support:
        return ""
    backed = [sentence for sentence in reply.support if sentence.page_id]
    said = words("support", backed=len(backed), count=len(reply.support))
    pages = {sentence.page_id: sentence for sentence in backed}
    links = _links(list(pages.values()))
    kind = "dd-check" if len(backed) == len(reply.support) else "dd-check dd-check-doubt"
    return f'<p class="{kind}">{escape(said)}{f" {links}" if links else ""}</p>'


def _unsupported(reply: Reply, words: Words) -> str:
    count = len({found.end for found in reply.unsupported})
    return f'<p class="dd-check dd-check-doubt">{escape(words("unsupported", count=count))}</p>' if count else ""


def _stale(reply: Reply, words: Words) -> str:
    if not reply.stale:
        return ""
    pages = {sentence.url: sentence.page_id for sentence in reply.support or ()}
    changed = [Sentence(0, 0, page.url, page.title, pages.get(page.url, "")) for page in reply.stale]
    return f'<p class="dd-check dd-check-doubt">{escape(words("stale"))} {_links(changed)}</p>'


def _links(pages: Sequence[Sentence]) -> str:
    return " · ".join(
        f'<a href="{escape(href)}" target="_blank" rel="noopener noreferrer">{escape(_title(page))}</a>'
        if (href := _page(page))
        else f"<span>{escape(_title(page))}</span>"
        for page in pages
    )


def _page(sentence: Sentence) -> str:
    """The page's address: its own, else that of the gateway's copy."""
    own = safe_href(sentence.url) if sentence.url.startswith(("http://", "https://")) else ""
    return own or safe_href(f"/pages/{sentence.page_id}")


def _title(page: Sentence | Stale) -> str:
    return shorten(one_line(page.title or page.url), 120)


def details_html(turn: Turn, words: Words) -> str:
    """Who answered, why, what was searched, what took how long: once for a turn, with a row for each of two sides."""
    rows = _of_turn(turn, words)
    if len(turn.replies) == 1:
        return _details(rows + _of_reply(turn.reply, words), words)
    for index, reply in enumerate(turn.replies):
        said = [part for _, part in _of_reply(reply, words) if part]
        rows.append((words(f"side.{index}"), " · ".join(said)))
    return _details(rows, words)


def _of_reply(reply: Reply, words: Words) -> list[tuple[str, str]]:
    rows = [(words("detail.voice"), f"{words.voice(reply.arm)} · {reply.arm}")] if reply.arm else []
    times = [
        words(f"time.{name}", value=seconds(reply.timings_ms[name])) for name in TIMES if reply.timings_ms.get(name)
    ]
    rows.append((words("detail.time"), " · ".join(times)))
    if any(reply.left_out):
        rows.append(
            (words("detail.left_out"), words("left_out", messages=reply.left_out[0], passages=reply.left_out[1]))
        )
    return rows


def _of_turn(turn: Turn, words: Words) -> list[tuple[str, str]]:
    searched = turn.query or (turn.question if any(reply.timings_ms.get("retrieve") for reply in turn.replies) else "")
    rows = [("reason", turn.reason), ("detail.scores", _scores(turn, words))] if turn.voice == "auto" else []
    rows += [("searched", searched), ("detail.tokens", _tokens(turn, words))]
    return [(words(key), said) for key, said in rows]


def _scores(turn: Turn, words: Words) -> str:
    return " · ".join(f"{words.voice(name)} {score:.2f}" for name, score in turn.scores.items())


def _tokens(turn: Turn, words: Words) -> str:
    used = turn.used
    return words("tokens", read=f"{used.read:,}", written=f"{used.written:,}") if used.read or used.written else ""


def _details(rows: Sequence[tuple[str, str]], words: Words) -> str:
    told = "".join(
        f'<div><dt>{escape(name)}</dt><dd dir="auto">{escape(shorten(one_line(said), 1000))}</dd></div>'
        for name, said in rows
        if said
    )
    summary = f"<summary>{escape(words('details'))}</summary>"
    return f'<details class="dd-details">{summary}<dl>{told}</dl></details>' if told else ""


def seconds(ms: float) -> str:
    """A duration as people read it: ``12 ms``, ``0.9 s``, ``14 s``."""
    if ms < 100:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"
