"""Quality gates. Each looks at one sample and says why not, or nothing; every reject is kept with its reason.

The order is from cheap to dear. What compares samples with each other is in duplicates.py, what compares them with
evaluation sets in decontaminate.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from data.prompts import BASE_SYSTEM, REFUSAL, REWRITE, SYSTEM, refusal_text
from sft.duplicates import words
from sft.standalone import answer_needs_page, question_needs_page
from sft.teacher.prompts import TASKS
from sft.tokens import CONTROL, Counter, of_messages
from sft.types import Reject, Sample

if TYPE_CHECKING:
    from rag.embed import Embedder

SUPPORTED = 0.5
"""Share of the answer's word pairs that must stand in the page."""

WORDS_SUPPORTED = 0.85
"""... or of its words: a table's row told as a list keeps the words, not their neighbours."""

NEARLY_SUPPORTED = 0.25
"""From here on, an embedder or a judge may still find the answer supported."""

MEANT = 0.7
_UNCHECKED = ("replay", "imported", "unanswerable")
"""Shapes whose answers are not made from a page."""

_CODE = re.compile(r"(?ms)^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1[ \t]*$|\Z)|`[^`\n]+`")
_MARKER = re.compile(r"(?<![\w\]\)`$])\[\d{1,2}\](?![\w(\[:])")

PASSAGES = re.compile(
    r"\b(?:passages?|excerpts?) \[?\d|\b(?:provided|given|numbered|above) (?:passages?|excerpts?|text|context)\b|"
    r"\b(?:the|these|those|any|each) passages?\b|(?:段落|片段)\s*[\[【]?\d|"
    r"(?:提供|给出|上述|以上|编号)的?(?:段落|片段|材料)|根据(?:这些)?(?:段落|片段)|(?:段落|片段)[里中]",
    re.IGNORECASE,
)
"""Words of somebody who has passages before him."""


@dataclass(frozen=True)
class Gate:
    """``check`` says why a sample is turned down, or "" when it passes."""

    name: str
    check: Callable[[Sample], str]


def standard_gates(counter: Counter, max_length: int, embedder: Embedder | None = None) -> tuple[Gate, ...]:
    """The gates that look at one sample by itself."""
    return (
        Gate("structure", structure),
        Gate("leak", leak),
        Gate("language", language),
        Gate("standalone", standalone),
        Gate("support", lambda sample: support(sample, embedder)),
        Gate("length", lambda sample: length(sample, counter, max_length)),
    )


def sift(samples: Iterable[Sample | Reject], gates: Sequence[Gate]) -> Iterator[Sample | Reject]:
    """Each sample, or the first gate's rejection of it, in order; what was rejected before stays so."""
    for sample in samples:
        if isinstance(sample, Reject):
            yield sample
            continue
        for gate in gates:
            reason = gate.check(sample)
            if reason:
                yield Reject(sample, gate.name, reason)
                break
        else:
            yield sample


def structure(sample: Sample) -> str:
    """One system message at most, then user and assistant in turns, each with text; code blocks that are closed."""
    roles = [message["role"] for message in sample.messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns or len(turns) % 2 or turns != ["user", "assistant"] * (len(turns) // 2):
        return f"messages do not alternate between user and assistant: {', '.join(roles) or 'none'}"
    for message in sample.messages:
        if not isinstance(message["content"], str) or not message["content"].strip():
            return f"an empty {message['role']} message"
        if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd]", message["content"]):
            return f"unreadable characters in a {message['role']} message"
    for answer in sample.said:
        if not answer.strip():
            return "nothing is said after the thinking"
        if len(re.findall(r"(?m)^[ \t]*(?:[-*+] )?```", answer)) % 2:
            return "a code block is not closed"
    return ""


def leak(sample: Sample) -> str:
    """Control tokens (a tokenizer would take them for its own), think tags, and words of the prompts."""
    system = (message["content"] for message in sample.messages if message["role"] == "system")
    written = (*sample.questions, *sample.said, sample.thinking)
    for text in (*system, *written):
        control = CONTROL.search(text)
        if control:
            return f"holds the control token {control[0]!r}"
    for text in written:
        said = " ".join(text.split())
        told = next((line for line in _prompt_lines() if line in said), "")
        if told:
            return f"repeats the prompt: {told[:60]!r}"
    for answer in sample.said:
        marker = _MARKER.search(_CODE.sub("", answer)) if sample.shape != "raft" else None
        if marker:
            return f"cites a passage ({marker[0]}) that the model does not see"
    told_of = PASSAGES.search(sample.thinking) if sample.shape != "raft" else None
    return f"thinks of passages ({told_of[0]!r}) that the model does not see" if told_of else ""


@cache
def _prompt_lines() -> tuple[str, ...]:
    """The sentences of the prompts, but for the refusal, which is an answer."""
    texts = [text for prompts in (SYSTEM, BASE_SYSTEM, REWRITE, *TASKS) for text in prompts.values()]
    lines = [line.strip(" -") for text in texts for line in re.split(r"(?<=[.。])\s*|[:：] ?\{+\w*|[{}\n]", text)]
    return tuple(line for line in lines if len(line) >= 15 and line not in REFUSAL.values())


def language(sample: Sample) -> str:
    """Question and answer in the sample's language, as far as their prose says."""
    for kind, texts in (("question", sample.questions), ("answer", sample.said)):
        found = _language_of(_CODE.sub(" ", "\n".join(texts)), sample.lang)
        if found != sample.lang:
            return f"the {kind} is {found}, not {sample.lang}"
    return ""


def _language_of(prose: str, expected: str) -> str:
    """English and Chinese by their characters (questions are short, answers full of names); others by data.lang."""
    han = len(re.findall(r"[\u3400-\u9fff]", prose))
    latin = len(re.findall(r"[A-Za-z]{2,}", prose))
    if expected == "zh":
        return "zh" if han * 12 >= latin or latin < 8 else "en"
    if expected == "en":
        return "zh" if han > 6 and han * 3 > latin else "en"
    from data.lang import detect_lang

    return detect_lang(prose) if len(prose.split()) >= 8 else expected  # of less, nobody can tell


def standalone(sample: Sample) -> str:
    """Understood without the page: "as shown above", "this page", "the table below" with no table."""
    if sample.shape == "replay":  # "Turn this into a list: ..." brings along what it points at
        return ""
    for question in sample.questions:
        found = question_needs_page(question)
        if found:
            return f"the question points at the page: {found!r}"
    for answer in sample.said:
        found = answer_needs_page(answer, whole_page=sample.shape == "whole-page")
        if found:
            return f"the answer points outside itself: {found!r}"
    return ""


def support(sample: Sample, embedder: Embedder | None = None) -> str:
    """The answers' word pairs stand in the page's text; with an embedder, its meaning counts too."""
    answer = "\n".join(text for text in sample.said if text != refusal_text(sample.lang))
    if sample.shape in _UNCHECKED or not answer:
        return ""
    if not sample.support.strip():
        return "nothing on the page is named as its support"
    share = overlap(answer, sample.support)
    if (
        share >= (NEARLY_SUPPORTED if sample.judged else SUPPORTED)
        or word_overlap(answer, sample.support) >= WORDS_SUPPORTED
    ):
        return ""
    if embedder is not None and share >= NEARLY_SUPPORTED:
        a, b = embedder.documents([answer, sample.support])
        if float(a @ b) >= MEANT:
            return ""
    return f"only {share:.0%} of the answer stands in the page"


def overlap(answer: str, page: str) -> float:
    """Share of the answer's word pairs (words, where there are fewer than six) that stand in ``page``; in [0, 1]."""
    said, there = words(re.sub(r"\[\d+\]", "", answer)), words(page)
    if len(said) < 6:
        return word_overlap(answer, page)
    known = set(pairwise(there))
    pairs = list(pairwise(said))
    return sum(pair in known for pair in pairs) / len(pairs)


def word_overlap(answer: str, page: str) -> float:
    """Share of the answer's words that stand in ``page``; a table's check mark may be told as yes or no."""
    said, there = words(re.sub(r"\[\d+\]", "", answer)), {*words(page), "yes", "no"}
    return sum(word in there for word in said) / max(1, len(said))


def length(sample: Sample, counter: Counter, max_length: int) -> str:
    """Within the trainer's max_length: longer ones vanish silently there (truncation_strategy delete)."""
    tokens = of_messages(sample.messages, counter)
    return f"{tokens} tokens, max_length is {max_length}" if tokens > max_length else ""
