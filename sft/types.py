"""What a dataset is made of: samples, and those that were turned down. Plain frozen dataclasses, no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args, runtime_checkable

from data.prompts import Message
from data.thinking import split_thinking
from data.types import Page

Shape = Literal[
    "single",
    "broad",
    "multi-turn",
    "whole-page",
    "how-to",
    "troubleshooting",
    "comparison",
    "unanswerable",
    "raft",
    "replay",
    "imported",
]
SHAPES: tuple[Shape, ...] = get_args(Shape)

NO_PAGES = "there are no pages to make a dataset from: run `docduet data sync FOLDER` first"


class Context(Message):
    """An answer to be understood, not learnt: ms-swift leaves those with ``loss: false`` out of the loss."""

    loss: Literal[False]


@dataclass(frozen=True)
class Sample:
    """One conversation to train on, and where it comes from.

    ``pages``, ``page_hashes``: urls and content hashes of the pages it was made from (none for replay).
    ``generator``: "rules", "teacher:MODEL", "import:FILE" or "feedback". ``family``: questions about one and the same
    thing; the split never puts two of a family on both sides. ``support``: the page's text that the answer was made
    from ("" where there is none: a refusal). ``thinks``: the last answer begins with ``<think>...</think>``.
    ``judged``: a model is asked whether the answer is supported, so that it may use words of its own.
    """

    messages: tuple[Message, ...]
    shape: Shape
    lang: str
    pages: tuple[str, ...]
    page_hashes: tuple[str, ...]
    generator: str
    family: str
    support: str
    thinks: bool = False
    judged: bool = False

    @cached_property
    def id(self) -> str:
        """16 hex digits that change when shape or words change, and with nothing else."""
        said = json.dumps([self.shape, list(self.messages)], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def questions(self) -> tuple[str, ...]:
        """What the user says, turn by turn."""
        return tuple(message["content"] for message in self.messages if message["role"] == "user")

    @property
    def answers(self) -> tuple[str, ...]:
        """What the assistant says, turn by turn."""
        return tuple(message["content"] for message in self.messages if message["role"] == "assistant")

    @property
    def said(self) -> tuple[str, ...]:
        """The answers without the thinking before them."""
        if not self.thinks:
            return self.answers
        *earlier, last = self.answers
        return (*earlier, split_thinking(last)[1])

    @property
    def thinking(self) -> str:
        """What is thought before the last answer; "" where nothing is."""
        return split_thinking(self.answers[-1])[0] if self.thinks else ""


@dataclass(frozen=True)
class Reject:
    """A sample that a gate turned down. ``gate`` is the gate's name, ``reason`` one sentence for a person."""

    sample: Sample
    gate: str
    reason: str


class Writer(Protocol):
    """Writes samples from pages: the rules, a teacher model. Lazy: nothing happens before the first one is asked for.

    ``only``: urls of the pages whose samples are wanted (None: all); the writer may look at the other pages, too. A
    writer may have ``notes``, a list of sentences for the card, complete when the drafts have ended.

    What a writer turns down by itself (a teacher's empty answer) comes out as Reject, so that it is counted and kept.
    """

    @property
    def name(self) -> str: ...

    def drafts(self, pages: Sequence[Page], only: frozenset[str] | None = None) -> Iterator[Sample | Reject]: ...


@runtime_checkable
class Taught(Protocol):
    """A writer that asks a model, and knows what that took."""

    @property
    def usage(self) -> Spent: ...


class Spent(Protocol):
    """What a teacher took: for the card."""

    model: str
    prompt_tokens: int
    completion_tokens: int
    failed: int

    @property
    def made(self) -> int: ...
    @property
    def known(self) -> int: ...
    def as_dict(self) -> dict[str, object]: ...


def shapes_of(samples: Iterable[Sample]) -> dict[str, int]:
    """Shape -> number of samples, in the order of SHAPES, without those that have none."""
    counts = dict.fromkeys(SHAPES, 0)
    for sample in samples:
        counts[sample.shape] += 1
    return {shape: count for shape, count in counts.items() if count}
