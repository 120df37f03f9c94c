"""What the admin routes answer with (serving/api/admin.py). Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class SourceResult(BaseModel):
    """What came of one source. ``warnings``: what could not be read, and why; the first of ``warned`` ones."""

    source: str
    error: str
    added: int
    changed: int
    removed: int
    unchanged: int
    warnings: list[str]
    warned: int


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
    sources: list[SourceResult] = []


class SyncProgress(BaseModel):
    """How far a sync of this home is, whoever started it. ``total``: 0 where nobody knows yet; ``since``: its start."""

    stage: Literal["read", "chunk", "embed", "write"]
    done: int
    total: int
    source: str
    item: str
    since: float


class SyncState(BaseModel):
    """``off``: none is scheduled and none runs. ``every_s``: 0 where none is scheduled."""

    state: Literal["off", "waiting", "running"]
    every_s: float
    next_at: float | None
    progress: SyncProgress | None
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
    bytes: int = Field(description="What it takes on disk.")


class GenerationsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[GenerationOut]


class RollbackIn(BaseModel):
    """``to``: a kept generation; empty: the one before the live one."""

    to: str = ""


class EngineOut(BaseModel):
    """``restarts``: since the gateway started. ``problem``: why its last change of configuration was not made.
    ``ours``: whether DocDuet started it. ``trouble``: what went wrong last, also when all is well again."""

    name: str
    state: str
    detail: str
    restarts: int
    active: int = Field(description="Answers under way.")
    problem: str = ""
    model: str = ""
    ours: bool = False
    trouble: str = ""
    trouble_at: float = 0.0


class EnginesOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[EngineOut]


class VoiceOut(BaseModel):
    """``state``: quoting answers without an engine; down cannot answer now; missing is not offered. ``reason``: a
    stable word, ``detail`` the same for people."""

    name: str
    state: Literal["ready", "quoting", "down", "missing"]
    engine: str
    reason: str
    detail: str


class CheckpointOut(BaseModel):
    """What the fine-tuned voices answer from. ``pages``: how many it was trained on, have changed, and are gone."""

    name: str
    kind: str
    base_model: str
    dataset: str
    dataset_sha256: str
    recipe: str
    step: int
    created_at: float
    problem: str
    pages: dict[str, int] | None


class VoicesOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[VoiceOut]
    checkpoint: CheckpointOut | None


class CorrectionOut(BaseModel):
    """A corrected answer. ``use``: what its question makes of it once it is promoted.

    Before a blind vote without ``arm``, markers and sources.
    """

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
    version: str = Field(description="Another one once the correction says something else; sent with a decision.")
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
