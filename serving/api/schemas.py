"""What clients may send.

Unknown fields are ignored, as OpenAI's servers do; what cannot be honoured is refused with a clear message.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from data.types import Filters
from serving.api.parameters import CHAT_REFUSED, refuse, unsupported
from serving.pairing import COMPARE
from serving.router.router import AUTO

MAX_TOKENS = 1_000_000
MAX_STOPS = 4
FREE_FORM = ("base", "sft")
"""The voices whose answers hold nothing but what a model writes, and may therefore be JSON."""


TWO_VOICED = (AUTO, COMPARE)
"""The models whose responses may hold two choices."""


class FiltersIn(BaseModel):
    """``filters``: keep only pages with these labels."""

    model_config = ConfigDict(extra="forbid")
    product: str = ""
    version: str = ""
    lang: str = ""

    def to_filters(self) -> Filters:
        return Filters(self.product, self.version, self.lang)


class ContentPart(BaseModel):
    """A part of a message's content; only text can be read."""

    type: str
    text: str = ""

    @field_validator("type")
    @classmethod
    def _text_only(cls, value: str) -> str:
        if value not in ("text", "input_text", "output_text"):
            raise ValueError(f"content of type {value!r} is not supported: send text")
        return value


class MessageIn(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class DocDuetIn(BaseModel):
    """DocDuet's own extra object in a request."""

    model_config = ConfigDict(extra="forbid")
    filters: FiltersIn = FiltersIn()
    conversation: str = Field("", max_length=100, description='Id of the conversation to go on with, or "new".')
    replace: str = Field(
        "",
        max_length=100,
        description="Id of an answer of the conversation: this one stands in its place, and what followed goes.",
    )
    store: bool = Field(True, description="false: neither question nor answer is kept.")
    arms: list[str] = Field([], max_length=8)
    blind: bool = False


class StreamOptions(BaseModel):
    include_usage: bool = False


class JsonSchema(BaseModel):
    """``response_format.json_schema``."""

    name: str = Field(max_length=64)
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(BaseModel):
    """``response_format``: text, any JSON object, or JSON by a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _with_its_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("the type json_schema needs json_schema with a name and a schema")
        return self


class ChatRequest(BaseModel):
    """POST /v1/chat/completions. What becomes of all the other parameters is in serving/api/parameters.py."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "rag",
                "messages": [{"role": "user", "content": "Where are the logs of an engine?"}],
                "docduet": {"filters": {"lang": "en"}},
            }
        }
    )

    model: str
    messages: list[MessageIn] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    docduet: DocDuetIn = DocDuetIn()
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0, le=MAX_TOKENS)
    max_completion_tokens: int | None = Field(None, gt=0, le=MAX_TOKENS)
    stop: str | list[str] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    response_format: ResponseFormat | None = None
    n: int | None = Field(None, description="2: the client can read two choices; for the models auto and compare.")
    tools: list[dict[str, Any]] | None = Field(None, description="Taken and left unused.")
    functions: list[dict[str, Any]] | None = Field(None, description="Taken and left unused.")

    @model_validator(mode="before")
    @classmethod
    def _refused(cls, body: Any) -> Any:
        return refuse(body, CHAT_REFUSED)

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: str | list[str] | None) -> str | list[str] | None:
        stops = [value] if isinstance(value, str) else value or []
        if len(stops) > MAX_STOPS:
            raise ValueError(f"at most {MAX_STOPS} sequences may be given")
        if "" in stops:
            raise ValueError("a stop sequence may not be empty")
        return value

    @model_validator(mode="after")
    def _as_many_as_there_are(self) -> ChatRequest:
        if self.n not in (None, 1) and not (self.n == 2 and self.model in TWO_VOICED):
            message = f"n is not supported: {self.model} gives one answer; 'compare', and 'auto' with n = 2, up to two"
            raise unsupported("n", message)
        return self

    @model_validator(mode="after")
    def _json_is_not_cited(self) -> ChatRequest:
        if self.response_format and self.response_format.type != "text" and self.model not in FREE_FORM:
            voices = " and ".join(FREE_FORM)
            message = f"response_format is supported by {voices} only: {self.model} cites its sources in the text"
            raise unsupported("response_format", message)
        return self

    def sampling(self, max_tokens: int) -> dict[str, Any]:
        """What an engine may be given; ``max_tokens`` where the request names none."""
        passed = {"temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty"}
        if self.response_format and self.response_format.type != "text":
            passed.add("response_format")
        named = self.model_dump(include=passed, exclude_none=True, by_alias=True)
        return named | {"max_tokens": self.max_completion_tokens or self.max_tokens or max_tokens}


class SearchRequest(BaseModel):
    """POST /v1/search."""

    query: str = Field(min_length=1)
    top_k: int | None = Field(None, ge=1, le=50)
    filters: FiltersIn = FiltersIn()
    explain: bool = False
