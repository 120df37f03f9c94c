"""What clients may send.

Unknown fields are ignored, as OpenAI's servers do; what cannot be honoured is refused with a clear message.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from data.types import Filters


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
    store: bool = Field(True, description="false: neither question nor answer is kept.")
    arms: list[str] = Field([], max_length=8)
    blind: bool = False


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """POST /v1/chat/completions."""

    model: str
    messages: list[MessageIn] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    docduet: DocDuetIn = DocDuetIn()
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    max_completion_tokens: int | None = Field(None, gt=0)
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    n: int | None = None
    tools: list[Any] | None = None

    @field_validator("n")
    @classmethod
    def _one_choice(cls, value: int | None) -> int | None:
        if value not in (None, 1):
            raise ValueError("only n=1 is supported")
        return value

    @field_validator("tools")
    @classmethod
    def _no_tools(cls, value: list[Any] | None) -> list[Any] | None:
        if value:
            raise ValueError("tools are not supported: these models answer from the documentation")
        return value

    def sampling(self, max_tokens: int) -> dict[str, Any]:
        """What an engine may be given; ``max_tokens`` where the request names none."""
        named = self.model_dump(
            include={"temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty"}, exclude_none=True
        )
        return named | {"max_tokens": self.max_completion_tokens or self.max_tokens or max_tokens}


class SearchRequest(BaseModel):
    """POST /v1/search."""

    query: str = Field(min_length=1)
    top_k: int | None = Field(None, ge=1, le=50)
    filters: FiltersIn = FiltersIn()
