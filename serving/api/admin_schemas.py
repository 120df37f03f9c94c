"""What the admin routes answer with (serving/api/admin.py). Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class SyncResult(BaseModel):
    """The last sync that the gateway started."""

    started_at: float
    seconds: float
    added: int
    changed: int
    removed: int
    unchanged: int
    error: str
    succeeded_at: float


class SyncState(BaseModel):
    """``off``: none is scheduled and none runs. ``every_s``: 0 where none is scheduled."""

    state: Literal["off", "waiting", "running"]
    every_s: float
    next_at: float | None
    last: SyncResult | None


class SourceOut(BaseModel):
    """A folder, web site or git repository that pages come from."""

    source: str
    pages: int
    changed_at: float = Field(description="When one of its pages was last added or changed.")
    synced_at: float = Field(description="When its last sync ended, by whatever means; 0: not known.")


class SourcesOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[SourceOut]
    sync: SyncState


class GenerationOut(BaseModel):
    """An index that is kept."""

    id: str
    pages: int
    chunks: int
    embedder: str
    created_at: float
    live: bool


class GenerationsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[GenerationOut]


class RollbackIn(BaseModel):
    """``to``: a kept generation; empty: the one before the live one."""

    to: str = ""


class EngineOut(BaseModel):
    """``restarts``: since the gateway started. ``problem``: why its last change of configuration was not made."""

    name: str
    state: str
    detail: str
    restarts: int
    active: int = Field(description="Answers under way.")
    problem: str = ""


class EnginesOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[EngineOut]


class GapOut(BaseModel):
    """A question that the docs did not answer well, in its newest wording, and how often it was asked alike."""

    question: str
    count: int
    refused: int = Field(description="How often every voice that was asked refused.")
    thumbs_down: int
    last_at: float
    wordings: list[str]
    answer_ids: list[str]


class GapsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[GapOut]


class ChunkOut(BaseModel):
    """``start``, ``end``: offsets of the text in the page's body, in characters, end exclusive."""

    chunk_id: int
    heading_path: list[str]
    start: int
    end: int
    text: str
    context: str = Field(description="What stands before the text when it is indexed.")


class ChunksOut(BaseModel):
    object: Literal["list"] = "list"
    page_id: str
    url: str
    title: str
    generation: str
    data: list[ChunkOut]


class CorrectionOut(BaseModel):
    """A corrected answer. ``use``: what its question makes of it once it is promoted."""

    answer_id: str
    choice: int
    question: str
    earlier: int = Field(description="Messages before the question.")
    answer: str
    correction: str
    comment: str
    lang: str
    arm: str
    sources: list[str] = Field(description="Urls of the pages under the answer.")
    pages: list[str] = Field(description="Urls of the pages that answer the question.")
    review: Literal["kept", "proposed", "promoted", "rejected"]
    use: Literal["sft", "eval"]
    asked_at: float


class CorrectionsOut(BaseModel):
    """``counts``: corrections in each state of review."""

    object: Literal["list"] = "list"
    data: list[CorrectionOut]
    has_more: bool
    next: str | None
    counts: dict[str, int]


class ReloadOut(BaseModel):
    """Keys as ``table.key``. ``engines``: name -> added, changed or removed."""

    changed: list[str]
    needs_restart: list[str]
    engines: dict[str, str]


class ErrorOut(BaseModel):
    """OpenAI's error shape."""

    error: dict[str, Any]
