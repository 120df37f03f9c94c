"""POST /v1/chat/completions: validate, pick the arm, stream or collect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from data.lang import detect_lang
from data.prompts import Message
from serving.api.models import ChatCompletion, answers
from serving.api.parameters import CHAT_UNUSED, unused
from serving.api.schemas import ChatRequest, MessageIn
from serving.api.wire import CompletionWriter
from serving.arms.events import Event
from serving.arms.turn import Turn
from serving.blind import shown
from serving.config import ServingConfig
from serving.errors import ApiError, as_api_error
from serving.exchange import Choices, Exchange
from serving.gateway import Gateway, gateway_of
from serving.ops.logs import plainly
from serving.principal import principal_of

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1", tags=["chat"])


@router.post("/chat/completions", response_model=None, responses=answers(ChatCompletion, stream=True))
async def chat_completions(body: ChatRequest, request: Request) -> JSONResponse | StreamingResponse:
    """Answer the last user message. Streams server-sent events when ``stream`` is true."""
    gateway = gateway_of(request)
    exchange = exchange_of(body, request)
    seen, choices = shown(exchange, gateway.answer(exchange))
    usage = bool(body.stream_options and body.stream_options.include_usage)
    writer = CompletionWriter(seen, gateway.public_url(request), include_usage=usage)
    if not body.stream:
        async with aclosing(choices):
            async for _ in choices:
                pass
        return JSONResponse(writer.completion())
    # The first event is awaited here, so that "no index" or "no engine" is still an HTTP error.
    try:
        first = await anext(choices)
    except Exception as error:
        raise _placed(as_api_error(error), exchange) from error
    return EventStream(first, choices, writer)


def _placed(error: ApiError, exchange: Exchange) -> ApiError:
    """``error``, with the conversation that holds the question: asked again, it need not begin another."""
    if exchange.conversation.startswith("conv_") and error.status != 404:
        error.headers[CONVERSATION] = exchange.conversation
    return error


CONVERSATION = "X-DocDuet-Conversation"
NO_BUFFER = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx would hold the stream back otherwise


class Writer(Protocol):
    """Turns the events of an exchange into server-sent events of one of OpenAI's APIs. ``done``: how a stream ends."""

    exchange: Exchange
    done: bytes

    def sse(self, index: int, event: Event) -> list[bytes]: ...
    def ending(self) -> list[bytes]: ...
    def failure(self, error: ApiError) -> list[bytes]: ...


def exchange_of(body: ChatRequest, request: Request) -> Exchange:
    """The exchange that a request begins; ApiError where there is no such model or no question to answer."""
    gateway = gateway_of(request)
    asked, blind = tuple(body.docduet.arms), body.docduet.blind
    gateway.picked(body.model, asked, blind)
    exchange = Exchange(body.model, turn_of(body, gateway), principal_of(request), asked=asked, blind=blind)
    exchange.conversation, exchange.keep = body.docduet.conversation, body.docduet.store
    exchange.replaces = body.docduet.replace
    exchange.unused, exchange.most = unused(body, CHAT_UNUSED), body.n or 1
    return exchange


def turn_of(body: ChatRequest, gateway: Gateway) -> Turn:
    """The turn that a request asks for; ApiError when there is no question in it, or too long a one."""
    said = [message for message in body.messages if message.role in ("user", "assistant") and message.text.strip()]
    last = next((m for m in reversed(body.messages) if m.role not in ("system", "developer")), None)
    if last is None or last.role != "user" or not last.text.strip():
        raise ApiError(
            "the last message must be a question from the user, not empty", 400, "empty_question", "messages"
        )
    check_size(body.messages, gateway.config)
    question = last.text.strip()
    limit = gateway.config.max_question_chars
    if len(question) > limit:
        message = f"the question has {len(question):,} characters; at most {limit:,} are allowed: shorten it"
        raise ApiError(message, 400, "question_too_long", "messages")
    return Turn(
        question=question,
        history=tuple(Message(role=m.role, content=m.text) for m in said[:-1]),
        instructions="\n\n".join(m.text for m in body.messages if m.role in ("system", "developer") and m.text.strip()),
        filters=body.docduet.filters.to_filters(),
        lang=detect_lang(question),
        sampling=body.sampling(gateway.config.max_tokens),
    )


def check_size(messages: Sequence[MessageIn], config: ServingConfig) -> None:
    """ApiError when there are too many messages, or too much in them."""
    if len(messages) > config.max_messages:
        message = f"the conversation has {len(messages):,} messages; at most {config.max_messages:,} are allowed"
        raise ApiError(f"{message}: leave out the oldest", 400, "too_many_messages", "messages")
    chars = sum(len(message.text) for message in messages)
    if chars > config.max_prompt_chars:
        message = f"the messages have {chars:,} characters; at most {config.max_prompt_chars:,} are allowed"
        raise ApiError(f"{message}: leave out the oldest", 400, "prompt_too_long", "messages")


class EventStream(StreamingResponse):
    """An answer's stream. However it ends, also before its first byte, the answer behind it ends with it."""

    def __init__(self, first: tuple[int, Event], choices: Choices, writer: Writer) -> None:
        self._choices = choices
        self._bytes = streamed(first, choices, writer)
        super().__init__(self._bytes, media_type="text/event-stream", headers=NO_BUFFER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._choices), aclosing(self._bytes):
            await super().__call__(scope, receive, send)


async def streamed(first: tuple[int, Event], choices: Choices, writer: Writer) -> AsyncGenerator[bytes]:
    """The stream's bytes. A failure on the way leaves as an error object; the stream always ends as it should."""
    try:
        for chunk in writer.sse(*first):
            yield chunk
        async with aclosing(choices):
            async for index, event in choices:
                for chunk in writer.sse(index, event):
                    yield chunk
        for chunk in writer.ending():
            yield chunk
    except asyncio.CancelledError:
        raise
    except Exception as error:
        known = as_api_error(error)
        log.warning("answer %s broke off: %s", writer.exchange.id, plainly(error), exc_info=known.status == 500)
        for chunk in writer.failure(known):
            yield chunk
    yield writer.done
