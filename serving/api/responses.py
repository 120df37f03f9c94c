"""POST /v1/responses: the subset of OpenAI's Responses API that an answer from the docs needs.

The request becomes a chat request and takes the same way; the answer leaves through serving/api/responses_wire.py.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data.errors import DocDuetError
from data.prompts import Message
from serving.api.chat import EventStream, exchange_of
from serving.api.models import ResponseOut, answers
from serving.api.parameters import RESPONSES_REFUSED, refuse, unsupported
from serving.api.responses_wire import ResponseWriter
from serving.api.schemas import MAX_TOKENS, ChatRequest, ContentPart, DocDuetIn
from serving.errors import ApiError, as_api_error
from serving.gateway import gateway_of
from serving.pairing import COMPARE
from serving.principal import principal_of
from serving.store import conversations as stored

router = APIRouter(prefix="/v1", tags=["chat"])
_NAMES = {"response_format": "text.format", "messages": "input", "max_tokens": "max_output_tokens"}
"""What chat completions call a field -> what it is called here."""


class InputItem(BaseModel):
    """One item of ``input``: a message, or a reasoning item of an earlier response, which is left out."""

    type: Literal["message", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: str | list[ContentPart] | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, item: Any) -> Any:
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if isinstance(kind, str) and kind not in ("message", "reasoning"):
            raise unsupported("input", f"input items of the type {kind!r} are not supported: send messages")
        if kind == "reasoning":
            return {"type": kind}
        return item


class TextFormat(BaseModel):
    """``text.format``: the fields of a JSON schema stand beside its type here."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None
    description: str | None = None

    def as_response_format(self) -> dict[str, Any]:
        """The same in the words of chat completions."""
        if self.type != "json_schema":
            return {"type": self.type}
        return {"type": self.type, "json_schema": self.model_dump(exclude={"type"}, exclude_none=True, by_alias=True)}


class TextConfig(BaseModel):
    format: TextFormat | None = None


class ResponseRequest(BaseModel):
    """POST /v1/responses. What becomes of all the other parameters is in serving/api/parameters.py."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"model": "rag", "input": "Where are the logs of an engine?"}}
    )

    model: str
    input: str | list[InputItem]
    instructions: str | None = None
    stream: bool | None = False
    docduet: DocDuetIn = DocDuetIn()
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_output_tokens: int | None = Field(None, gt=0, le=MAX_TOKENS)
    text: TextConfig | None = None
    previous_response_id: str | None = Field(None, max_length=100)
    store: bool | None = True
    metadata: dict[str, str] | None = Field(None, max_length=16)
    tools: list[dict[str, Any]] | None = Field(None, description="Taken and left unused.")

    @model_validator(mode="before")
    @classmethod
    def _refused(cls, body: Any) -> Any:
        return refuse(body, RESPONSES_REFUSED)

    def as_chat(self, earlier: list[Message]) -> ChatRequest:
        """The same question as a chat request, after what was said ``earlier``. Errors name the fields of this one."""
        if self.model == COMPARE:
            message = f"the model {COMPARE!r} gives two answers and a response has one: use /v1/chat/completions"
            raise ApiError(message, 400, "unsupported_parameter", "model")
        format_ = self.text.format.as_response_format() if self.text and self.text.format else None
        sent = self.model_dump(include={"model", "docduet", "temperature", "top_p", "tools"})
        try:
            return ChatRequest(
                messages=self._messages(earlier), max_tokens=self.max_output_tokens, response_format=format_, **sent
            )
        except ValidationError as error:
            raise _in_our_words(error) from None

    def _messages(self, earlier: list[Message]) -> list[dict[str, Any]]:
        items = [InputItem(content=self.input)] if isinstance(self.input, str) else self.input
        said = [item.model_dump(include={"role", "content"}) for item in items if item.type == "message"]
        told = [{"role": "system", "content": self.instructions}] if self.instructions else []
        if not said:
            raise ApiError("input holds no message: send a question", 400, "empty_question", "input")
        return [*told, *map(dict, earlier), *said]


@router.post("/responses", response_model=None, responses=answers(ResponseOut, stream=True))
async def responses(body: ResponseRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Answer the last message of ``input``. Streams typed server-sent events when ``stream`` is true."""
    try:
        return await _answered(body, request)
    except DocDuetError as error:
        known = as_api_error(error)
        known.param = _NAMES.get(known.param or "", known.param)
        raise known from error


async def _answered(body: ResponseRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Errors name the fields of a chat request."""
    gateway = gateway_of(request)
    exchange = exchange_of(body.as_chat(await _earlier(body.previous_response_id, request)), request)
    exchange.keep = exchange.keep and body.store is not False
    writer = ResponseWriter(exchange, gateway.public_url(request), _echo(body))
    choices = gateway.answer(exchange)
    if not body.stream:
        async with aclosing(choices):
            async for _ in choices:
                pass
        return JSONResponse(writer.response())
    first = await anext(choices)  # so that "no index" or "no engine" is still an HTTP error
    return EventStream(first, choices, writer)


async def _earlier(response_id: str | None, request: Request) -> list[Message]:
    """What was said up to an earlier response of the same user, with it; ApiError 404 where there is no such."""
    if not response_id:
        return []
    gateway, user = gateway_of(request), principal_of(request).user
    await gateway.recorder.written()
    try:
        turn = await gateway.store.run(stored.turn, user, f"ans_{response_id.removeprefix('resp_')}", writes=False)
    except ApiError:
        message = f"there is no response {response_id!r}: it was not stored, has been deleted, or is somebody else's"
        raise ApiError(message, 404, "response_not_found", "previous_response_id") from None
    if turn.hidden:
        message = f"{response_id!r} is a blind comparison: vote on it first"
        raise ApiError(message, 400, "blind_comparison", "previous_response_id")
    said = turn.choices[0].text if turn.choices else ""
    history = [Message(role=message["role"], content=message["content"]) for message in turn.answer.history]
    return [
        *history,
        Message(role="user", content=turn.answer.question),
        *([Message(role="assistant", content=said)] if said else []),
    ]


def _echo(body: ResponseRequest) -> dict[str, Any]:
    """What a response repeats of its request."""
    format_ = body.text.format if body.text else None
    return {
        "instructions": body.instructions,
        "metadata": body.metadata or {},
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_output_tokens": body.max_output_tokens,
        "previous_response_id": body.previous_response_id,
        "store": body.store is not False and body.docduet.store,
        "text": {"format": format_.model_dump(exclude_none=True, by_alias=True) if format_ else {"type": "text"}},
    }


def _in_our_words(error: ValidationError) -> ApiError:
    """What a chat request may not be, in the names of a response's fields."""
    first = error.errors()[0]
    named = first.get("ctx", {}).get("param") or str((*first["loc"], "input")[0])
    param = _NAMES.get(named, named)
    message = first["msg"].replace("response_format", "text.format")
    code = "unsupported_parameter" if first["type"] == "unsupported_parameter" else "invalid_request"
    return ApiError(message, 400, code, param)
