"""Quoting mode: answers without a model, by quoting the passages that fit best, each with its source.

Used when no engine is configured, when none answers, and after an engine broke off. Pure: passages in, quotes out.
Nothing is paraphrased: every quote stands in its passage, block by block (paragraph, list, table, code).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.lexical import tokenize
from rag.types import Passage

MAX_QUOTES = 3
MAX_CHARS = 700  # of one quote; a longer list, table or code block is cut at a line
LEAD_IN_CHARS = 200
_ENOUGH = 0.6  # a further quote must cover at least this share of what the best one covers
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


@dataclass(frozen=True)
class Quote:
    """A verbatim piece of passage ``index`` (from 0)."""

    text: str
    index: int


def quotes(query: str, passages: Sequence[Passage]) -> list[Quote]:
    """At most three quotes in one language, best first; empty only when there are no passages.

    Docs in two languages say everything twice: further quotes are in the language of the first."""
    wanted = set(tokenize(query))
    found: list[tuple[float, int, str]] = []
    for index, passage in enumerate(passages):
        around = set(tokenize(" ".join([passage.title, *passage.heading_path])))
        score, text = _best_block(passage.text, wanted, around)
        found.append((score - 0.25 * index, index, text))  # retrieval's order breaks near-ties
    found.sort(key=lambda item: -item[0])
    alike = [item for item in found if passages[item[1]].lang == passages[found[0][1]].lang]
    kept: list[Quote] = []
    for score, index, text in alike[:MAX_QUOTES]:
        if kept and (score < _ENOUGH * found[0][0] or any(text in quote.text or quote.text in text for quote in kept)):
            continue
        kept.append(Quote(text, index))
    return kept


def as_markdown(text: str) -> str:
    """A block quote; the citation marker goes on its end (see ``marker_lead``)."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def marker_lead(text: str) -> str:
    """What stands between a quote and its marker: a table, a list or code must not swallow it."""
    last = text.rstrip().split("\n")[-1].lstrip()
    return "\n>\n> " if last.startswith(("|", "```", "~~~")) or text.startswith("    ") else " "


def _best_block(text: str, wanted: set[str], around: set[str]) -> tuple[float, str]:
    """The block with the most of the wanted terms, with the line that introduces it or the block it introduces."""
    blocks = _blocks(text)
    if not blocks:
        return 0.0, text.strip()[:MAX_CHARS]
    scores = [_overlap(block, wanted, around) for block in blocks]
    best = max(range(len(blocks)), key=lambda i: (scores[i], -i))
    first, last = best, best
    if blocks[best].rstrip().endswith((":", "：")) and best + 1 < len(blocks):
        last = best + 1
    elif _is_structured(blocks[best]) and best and len(blocks[best - 1]) <= LEAD_IN_CHARS:
        first = best - 1
    picked = "\n\n".join(blocks[first : last + 1])
    return scores[best], _cut(picked, wanted)


def _blocks(text: str) -> list[str]:
    """Top-level Markdown blocks, headings left out."""
    from markdown_it import MarkdownIt

    lines = text.split("\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    blocks = [
        "\n".join(lines[token.map[0] : token.map[1]]).strip("\n")
        for token in tokens
        if token.level == 0 and token.map and token.type != "heading_open" and token.type != "hr"
    ]
    return [block for block in blocks if block.strip()]


def _overlap(block: str, wanted: set[str], around: set[str]) -> float:
    """Wanted terms in the block, a quarter for those only in the headings; longer terms say more."""
    here = set(tokenize(block))
    weight = {term: 1.0 + min(len(term), 12) / 12 for term in wanted}
    return sum(weight[term] for term in wanted & here) + 0.25 * sum(weight[term] for term in wanted & around - here)


def _is_structured(block: str) -> bool:
    return block.lstrip().startswith(("|", "```", "~~~", "- ", "* ", "+ ", "1.", "1)"))


def _cut(text: str, wanted: set[str]) -> str:
    """At most MAX_CHARS: whole lines of lists, tables and code, whole sentences of prose around the best one."""
    if len(text) <= MAX_CHARS:
        return text
    if _is_structured(text) or "\n" in text:
        return _cut_lines(text)
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    best = max(range(len(sentences)), key=lambda i: (len(wanted & set(tokenize(sentences[i]))), -i))
    kept = sentences[best]
    for sentence in sentences[best + 1 :]:
        if len(kept) + len(sentence) > MAX_CHARS:
            break
        kept += ("" if kept.endswith(("。", "！", "？")) else " ") + sentence
    return kept[:MAX_CHARS]


def _cut_lines(text: str) -> str:
    kept: list[str] = []
    for line in text.split("\n"):
        if kept and sum(map(len, kept)) + len(line) > MAX_CHARS:
            break
        kept.append(line)
    joined = "\n".join(kept)[: 2 * MAX_CHARS]
    return joined + "\n```" if joined.count("```") % 2 else joined
