"""What reading tasks are made of. Plain frozen dataclasses; text of a page is always named by its place in the body."""

from __future__ import annotations

from dataclasses import dataclass, field

from data.types import Page
from rag.chunk import Chunk


@dataclass(frozen=True)
class Piece:
    """Something said in an answer, and what of ``page`` (its number in the slice) it was made of: [start, end)."""

    text: str
    page: int
    start: int
    end: int


@dataclass(frozen=True)
class Draft:
    """A question, and the answer piece by piece, before anybody has chosen passages.

    ``follow``: the same question put so that only the conversation tells what it is about ("" where there is none);
    ``subject``: what it is about. ``history``: turns before it, as (question, answer).
    """

    kind: str
    question: str
    pieces: tuple[Piece, ...]
    subject: str = ""
    follow: str = ""
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Passage:
    """A passage as the product shows it: one chunk of ``page``, or some that follow each other. ``id`` is global."""

    id: int
    page: int
    title: str
    heading_path: tuple[str, ...]
    text: str
    start: int
    end: int

    def as_row(self) -> dict[str, object]:
        return {"id": self.id, "title": self.title, "heading_path": list(self.heading_path), "text": self.text}


@dataclass(frozen=True)
class Task:
    """One line of the task file. ``answer`` carries markers, or is the refusal."""

    passages: tuple[int, ...]
    question: str
    history: tuple[tuple[str, str], ...]
    answer: str
    lang: str
    kind: str
    split: str

    def as_row(self) -> dict[str, object]:
        history = [
            {"role": role, "content": said}
            for turn in self.history
            for role, said in zip(("user", "assistant"), turn, strict=True)
        ]
        return {
            "passages": list(self.passages),
            "question": self.question,
            "history": history,
            "answer": self.answer,
            "lang": self.lang,
            "kind": self.kind,
            "split": self.split,
        }


@dataclass(frozen=True)
class Slice:
    """Pages of one package in one language: what one worker reads at a time. ``wanted``: tasks to make of it."""

    name: str
    number: int
    lang: str
    split: str
    pages: tuple[Page, ...]
    faq: frozenset[int] = frozenset()
    wanted: int = 0

    @property
    def size(self) -> int:
        return sum(len(page.body.encode()) for page in self.pages)


@dataclass
class Cut:
    """A page and its chunks."""

    page: Page
    chunks: list[Chunk] = field(default_factory=list)
