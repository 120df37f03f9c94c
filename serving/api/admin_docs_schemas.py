"""What the admin routes about the docs answer with (serving/api/admin_docs.py). Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Kind = Literal["refused", "thumbs_down", "both_bad", "unsupported"]


class SampleOut(BaseModel):
    """A question in trouble."""

    answer_id: str
    question: str
    at: float
    kinds: list[Kind]


class GapOut(BaseModel):
    """Questions that ask for the same thing. ``question``: the one nearest their centre."""

    question: str
    words: list[str] = Field(description="What is said in these questions and not in others.")
    count: int
    share: float = Field(description="Of all questions in trouble, 0 to 1.")
    last_at: float
    kinds: dict[Kind, int] = Field(description="How often each trouble was; one question can have several.")
    samples: list[SampleOut] = Field(description="The newest, each wording once.")
    answer_ids: list[str]


class GapsOut(BaseModel):
    """``asked``: answers in these days; ``troubled``: the questions that were looked at, ``more``: not the oldest."""

    object: Literal["list"] = "list"
    days: float
    asked: int
    troubled: int
    more: bool
    groups: int
    data: list[GapOut]


class TroubledChoiceOut(BaseModel):
    """``supported``: of the ``sentences`` that were checked. Before a blind vote ``text`` alone, and opinions."""

    arm: str
    text: str
    refused: bool
    sources: list[str]
    supported: int
    sentences: int
    rating: str
    reasons: list[Any]
    comment: str
    should_have_said: str


class TroubledOut(BaseModel):
    """An answer behind a gap, without who asked."""

    id: str
    question: str
    asked_at: float
    model: str
    kinds: list[Kind]
    vote: dict[str, str]
    choices: list[TroubledChoiceOut]


class PageOut(BaseModel):
    """``chunks``: how many it was cut into."""

    page_id: str
    url: str
    title: str
    lang: str
    chunks: int
    product: str
    version: str


class PagesOut(BaseModel):
    """``total``: how many there are, of which ``data`` holds those from ``offset``."""

    object: Literal["list"] = "list"
    data: list[PageOut]
    total: int
    offset: int
    generation: str


class ChunkOut(BaseModel):
    """``start``, ``end``: offsets of the text in the page's body, in characters, end exclusive."""

    chunk_id: int
    heading_path: list[str]
    start: int
    end: int
    text: str
    context: str = Field(description="What stands before the text when it is indexed.")
    tokens: int = Field(description="Of context and text, estimated.")


class ChunksOut(BaseModel):
    object: Literal["list"] = "list"
    page_id: str
    url: str
    title: str
    lang: str
    body: str
    generation: str
    embedder: str
    data: list[ChunkOut]
