"""The shapes of what the gateway answers, for its OpenAPI document; wire.py and responses_wire.py write them.

Nothing is validated with these while serving; tests hold real answers against them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Error(BaseModel):
    """What went wrong. ``code`` is a stable word; ``param`` names the field of the request."""

    message: str
    type: str
    code: str
    param: str | None


class ErrorBody(BaseModel):
    """Every error of this API."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "message": "unknown model 'gpt'; this gateway serves: rag, base",
                    "type": "not_found_error",
                    "code": "model_not_found",
                    "param": "model",
                }
            }
        }
    )
    error: Error


class UrlCitation(BaseModel):
    """``start_index`` to ``end_index`` (end exclusive, in Unicode characters) is the marker in the content."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(BaseModel):
    type: Literal["url_citation"]
    url_citation: UrlCitation


class FlatAnnotation(UrlCitation):
    type: Literal["url_citation"]


class SourceOut(BaseModel):
    """A cited passage. ``href`` can be opened; ``marks`` are offsets of the question's words in ``quote``."""

    n: int
    page_id: str
    url: str
    href: str
    title: str
    heading_path: list[str]
    quote: str
    marks: list[tuple[int, int]]
    product: str
    version: str
    lang: str
    score: float


class ChoiceExtra(BaseModel):
    """What DocDuet says of one answer. ``degraded``: why it is not what it should be; null when it is."""

    model_config = ConfigDict(extra="allow")
    arm: str
    sources: list[SourceOut]
    refused: bool
    degraded: str | None
    unsupported: list[dict[str, Any]]
    support: list[dict[str, Any]] | None
    supported: float | None
    stale: list[dict[str, Any]]
    truncated: dict[str, int] | None
    timings_ms: dict[str, float]


class Top(BaseModel):
    """What DocDuet says of the whole. ``route``: what was searched; ``unused``: parameters that came for nothing."""

    model_config = ConfigDict(extra="allow")
    answer_id: str
    unused: list[str] = []


class MessageOut(BaseModel):
    role: Literal["assistant"]
    content: str
    annotations: list[Annotation]
    reasoning: str | None = None
    reasoning_content: str | None = None


class Choice(BaseModel):
    index: int
    message: MessageOut
    finish_reason: str
    docduet: ChoiceExtra | dict[str, Any]


class Usage(BaseModel):
    """Tokens as the engines count them; zeros when none was asked."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """A whole answer. Streams are ``chat.completion.chunk`` objects as server-sent events, ended by ``[DONE]``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    docduet: Top


class OutputPart(BaseModel):
    type: Literal["output_text", "reasoning_text"]
    text: str
    annotations: list[FlatAnnotation] = []
    logprobs: list[Any] = []


class OutputItem(BaseModel):
    model_config = ConfigDict(extra="allow")
    id: str
    type: Literal["message", "reasoning"]
    status: str
    content: list[OutputPart]


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseOut(BaseModel):
    """A response. Streams are typed server-sent events, from ``response.created`` to ``response.completed``."""

    model_config = ConfigDict(extra="allow")
    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed", "in_progress"]
    model: str
    output: list[OutputItem]
    error: dict[str, str] | None
    incomplete_details: dict[str, str] | None
    usage: ResponseUsage | None
    docduet: Top


class Model(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The voices that can be asked."""

    object: Literal["list"]
    data: list[Model]


class Me(BaseModel):
    """Who asks. ``name``: what to call them, "" where nobody signs in. ``sign_in``: how they came, "" likewise."""

    object: Literal["user"]
    user: str
    name: str
    role: Literal["staff", "admin", "service"]
    sign_in: Literal["", "key", "sso"]


class PassageOut(BaseModel):
    """A passage that was found. ``why``: ranks and scores of both searches, and the terms that matched."""

    url: str
    title: str
    heading_path: list[str]
    text: str
    score: float
    rank: int
    page_id: str
    product: str
    version: str
    lang: str
    why: dict[str, Any]


class Explained(BaseModel):
    """What became of a question. ``score``: probability that the passages answer it, refused below ``threshold``.

    ``timings_ms``: lexical, dense, fuse, rerank (where there is a reranker), judge, total.
    """

    answerable: bool
    score: float
    threshold: float
    reason: str
    timings_ms: dict[str, float]
    generation: str
    embedder: str
    reranker: str


class SearchResults(BaseModel):
    """Passages, best first. ``explain``: where an administrator asked for it."""

    object: Literal["list"]
    data: list[PassageOut]
    explain: Explained | None = None


class LabelList(BaseModel):
    """``data``: combinations that pages have, with their number of ``pages``. ``values``: those of each label."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    values: dict[str, list[str]]
    generation: str = Field(description="The index generation that was asked.")


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be served."},
    "5XX": {"model": ErrorBody, "description": "The gateway or an engine cannot answer now."},
}


def answers(model: type[BaseModel], stream: bool = False) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route that answers with ``model``, or with a stream where that was asked for."""
    events = {"content": {"text/event-stream": {"schema": {"type": "string"}}}} if stream else {}
    return {200: {"model": model, **events}}
