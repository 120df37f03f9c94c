"""A conversation as one Markdown document, its sources as footnotes. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from serving.api.stored import text_alone
from serving.arms.sources import Source
from serving.exchange import Answer
from serving.store.conversations import Turn
from serving.store.snapshot import answer_of
from serving.store.tables import Choice, Conversation

_WORDS = {
    "en": {"question": "Question", "answer": "Answer", "none": "There is no answer: it was interrupted."},
    "zh": {"question": "问题", "answer": "回答", "none": "没有回答：过程被中断。"},
}
QUOTE_CHARS = 300


def as_markdown(conversation: Conversation, turns: list[Turn], public_url: str) -> str:
    """Question and answers, turn by turn; each marker is a footnote that names its source, with a link and a quote."""
    day = datetime.fromtimestamp(conversation.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts = [f"# {_line(conversation.title)}", f"*{day} · {conversation.id}*"]
    for number, turn in enumerate(turns, 1):
        parts += _turn(number, turn, public_url)
    return "\n\n".join(parts) + "\n"


def _turn(number: int, turn: Turn, public_url: str) -> list[str]:
    words = _WORDS["zh" if turn.answer.lang == "zh" else "en"]
    parts = [f"## {words['question']} {number}", turn.answer.question]
    if not turn.choices:
        parts += [f"*{words['none']}*"]
    for choice in turn.choices:
        label = f"{number}" if len(turn.choices) == 1 else f"{number}.{choice.index + 1}"
        arm = chr(ord("A") + choice.index) if turn.hidden else choice.arm
        parts += [f"### {words['answer']} ({arm})", *_choice(label, choice, turn.hidden, public_url)]
    return parts


def _choice(label: str, choice: Choice, hidden: bool, public_url: str) -> list[str]:
    answer = answer_of(choice)
    if hidden:
        return [text_alone(answer)]
    sources = answer.finished.sources if answer.finished else tuple(dict.fromkeys(c.source for c in answer.citations))
    notes = "\n".join(_footnote(f"{label}-{source.n}", source, public_url) for source in sources)
    return [_with_footnotes(answer, label), *([notes] if notes else [])]


def _with_footnotes(answer: Answer, label: str) -> str:
    text, at = "", 0
    for citation in answer.citations:
        text += f"{answer.text[at : citation.start]}[^{label}-{citation.source.n}]"
        at = citation.end
    return text + answer.text[at:]


def _footnote(label: str, source: Source, public_url: str) -> str:
    quote = _line(source.quote)
    quote = quote if len(quote) <= QUOTE_CHARS else quote[:QUOTE_CHARS].rstrip() + "…"
    href = source.href(public_url).replace("(", "%28").replace(")", "%29").replace(" ", "%20")
    return f"[^{label}]: [{_line(source.name)}]({href}): “{quote}”"


def _line(text: str) -> str:
    """In one line, with nothing in it that Markdown would take for a link, a picture or HTML."""
    return re.sub(r"([\\\[\]<>`*_])", r"\\\1", " ".join(text.split()))
