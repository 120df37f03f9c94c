"""An engine: any OpenAI-compatible LLM server, asked over HTTP (aiohttp: streams cost a third of httpx's time).

Starting and watching vLLM belongs to serving/engines/supervisor.py; what to ask belongs to data/prompts.py.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from data.errors import EngineError, PromptTooLongError
from data.prompts import Message
from serving.engines import spent

# What a client of the gateway may influence. Never chat_template*, vllm_xargs or priority.
SAMPLING = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "response_format",
    }
)
CONNECT_TIMEOUT_S = 5.0
_TOO_LONG = re.compile(r"context[ _]length|longer than the maximum model length|exceeds? the (?:available )?context")


@dataclass(frozen=True)
class EngineDelta:
    """A piece of an answer. ``usage`` (tokens) comes once, with the last piece."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: dict[str, int] | None = None


class Engine:
    """``base_url`` ends in /v1. ``model``: the name to ask for; empty takes the first that the server lists.

    ``idle_timeout_s``: silence between two pieces that counts as failure. ``first_timeout_s``: the same before the
    first piece, which waits for the prompt. ``extra_body``: fields that every request carries (ours, not a client's).
    ``ignores``: sampling parameters that are left out, because the server does not survive them. ``context``: tokens
    that prompt and answer may have together, where the server has said so (vLLM lists it with its models).
    """

    _extra_body: Mapping[str, Any] = MappingProxyType({})
    context: int | None = None

    def __init__(
        self,
        name: str,
        base_url: str,
        model: str = "",
        api_key: str = "",
        idle_timeout_s: float = 30.0,
        first_timeout_s: float = 120.0,
        extra_body: Mapping[str, Any] | None = None,
        ignores: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._model = model
        self._idle_timeout_s = idle_timeout_s
        self._first_timeout_s = first_timeout_s
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._extra_body = dict(extra_body or {})
        self._ignores = ignores
        self._session: aiohttp.ClientSession | None = None
        self.active = 0
        """Answers under way."""

    @property
    def thinking_off(self) -> bool:
        """Whether the server is told with every request to let its model answer without thinking."""
        told = self._extra_body.get("chat_template_kwargs")
        return isinstance(told, Mapping) and told.get("enable_thinking") is False

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta]:
        """Stream an answer. Raises EngineError before or between pieces, PromptTooLongError before; closing it ends the
        work upstream."""
        unknown = params.keys() - SAMPLING
        if unknown:
            raise TypeError(f"not a sampling parameter: {', '.join(sorted(unknown))}")
        self.active += 1
        try:
            body = {
                "model": await self.model(),
                "messages": list(messages),
                "stream": True,
                "stream_options": {"include_usage": True},
                **{name: value for name, value in params.items() if name not in self._ignores},
                **self._extra_body,
            }
            finished = False
            call = spent.begin(messages)
            async with self._post("/chat/completions", body) as response:
                async for event in self._events(response):
                    delta = _delta(event)
                    call.said(delta.text + delta.reasoning)
                    if delta.usage:
                        call.told(delta.usage)
                    finished = finished or delta.finish_reason is not None
                    yield delta
        finally:
            self.active -= 1
        if not finished:
            raise EngineError(f"engine {self.name!r} broke off before the end of its answer")

    def serving(self, model: str, extra_body: Mapping[str, Any]) -> Engine:
        """Another model of the same server, such as an adapter. Whoever asks for it closes it."""
        twin = Engine(
            model,
            self.base_url,
            model,
            idle_timeout_s=self._idle_timeout_s,
            first_timeout_s=self._first_timeout_s,
            extra_body={**self._extra_body, **extra_body},
            ignores=self._ignores,
        )
        twin._headers, twin.context = self._headers, self.context
        return twin

    async def quiet(self, patience_s: float) -> None:
        """Return when no answer is under way, or after ``patience_s``."""
        deadline = time.monotonic() + patience_s
        while self.active and time.monotonic() < deadline:  # noqa: ASYNC110  # asked for once a checkpoint
            await asyncio.sleep(0.1)

    async def post(self, path: str, body: Mapping[str, Any], timeout_s: float) -> None:
        """Tell the server something, below /v1; EngineError when it refuses."""
        try:
            async with asyncio.timeout(timeout_s), self._post(path, body):
                pass
        except TimeoutError:
            raise EngineError(f"engine {self.name!r} did not answer {path} within {timeout_s:g} s") from None

    async def model(self) -> str:
        """The model name to ask for."""
        if not self._model:
            listed = (await self._get("/models")).get("data") or []
            if not listed:
                raise EngineError(f"engine {self.name!r} at {self.base_url} lists no model")
            self._model = str(listed[0]["id"])
            self._note(listed)
        return self._model

    async def ready(self, timeout_s: float = CONNECT_TIMEOUT_S) -> bool:
        """Whether the server answers and has the model."""
        try:
            models = (await self._get("/models", timeout_s)).get("data") or []
        except EngineError:
            return False
        self._note(models)
        listed = {str(model.get("id")) for model in models}
        return bool(listed) and (not self._model or self._model in listed)

    def _note(self, models: Sequence[Mapping[str, Any]]) -> None:
        """Remember the context of the model to ask for. vLLM says it of an adapter's base model only."""
        known = {str(model.get("id")): model for model in models}
        ours = known.get(self._model) if self._model else next(iter(known.values()), None)
        parent = known.get(str((ours or {}).get("parent") or (ours or {}).get("root") or ""))
        for model in (ours, parent):
            if model and isinstance(model.get("max_model_len"), int):
                self.context = model["max_model_len"]
                return

    async def aclose(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, read_bufsize=2**20, trust_env=False
            )
        return self._session

    async def _get(self, path: str, timeout_s: float = CONNECT_TIMEOUT_S) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._client().get(self.base_url + path, timeout=timeout) as response:
                if response.status != 200:
                    raise EngineError(await self._complaint(response))
                body = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EngineError(self._unreachable(error)) from None
        return body if isinstance(body, dict) else {}

    @asynccontextmanager
    async def _post(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._first_timeout_s)
        try:
            async with self._client().post(self.base_url + path, json=body, timeout=timeout) as response:
                if response.status != 200:
                    complaint = await self._complaint(response)
                    too_long = response.status in (400, 413) and _TOO_LONG.search(complaint)
                    raise PromptTooLongError(complaint) if too_long else EngineError(complaint)
                yield response
        except TimeoutError:
            raise EngineError(f"engine {self.name!r} said nothing for {self._first_timeout_s:g} s") from None
        except aiohttp.ClientError as error:
            raise EngineError(self._unreachable(error)) from None

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of a server-sent event stream, up to [DONE] or the end."""
        data: list[bytes] = []
        started = False
        while True:
            try:
                async with asyncio.timeout(self._idle_timeout_s if started else self._first_timeout_s):
                    line = await response.content.readline()
            except TimeoutError:
                raise EngineError(
                    f"engine {self.name!r} fell silent for {self._idle_timeout_s:g} s mid-answer"
                ) from None
            except LineTooLong:
                raise EngineError(f"engine {self.name!r} sent an endless line") from None
            field = line.rstrip(b"\r\n")
            if field.startswith(b"data:"):
                data.append(field[5:].removeprefix(b" "))
            if data and not field:
                joined, data = b"\n".join(data), []
                if joined.strip() == b"[DONE]":
                    return
                yield self._event(joined)
                started = True
            if not line:
                if data and b"".join(data).strip() != b"[DONE]":
                    yield self._event(b"\n".join(data))
                return

    def _event(self, data: bytes) -> dict[str, Any]:
        try:
            event = json.loads(data)
            if b"\\ud" in data.lower():  # half a character, which no client could be sent
                event = json.loads(json.dumps(event, ensure_ascii=False).encode(errors="replace"))
        except ValueError:
            raise EngineError(f"engine {self.name!r} sent something that is not JSON") from None
        if not isinstance(event, dict):
            raise EngineError(f"engine {self.name!r} sent something that is not a chunk")
        if event.get("error"):
            error = event["error"]
            message = error.get("message") if isinstance(error, dict) else error
            raise EngineError(f"engine {self.name!r}: {message}")
        return event

    async def _complaint(self, response: aiohttp.ClientResponse) -> str:
        """One line for an HTTP error: the server's own message where it has one."""
        text = (await response.content.read(2000)).decode(errors="replace")
        try:
            error = json.loads(text)["error"]
            text = error["message"] if isinstance(error, dict) else str(error)
        except (ValueError, KeyError, TypeError):
            pass
        return f"engine {self.name!r} answered {response.status}: {' '.join(text.split())[:300]}"

    def _unreachable(self, error: Exception) -> str:
        reason = str(error).replace(" ssl:default", "") or type(error).__name__
        return f"engine {self.name!r} at {self.base_url} cannot be reached: {reason}; is it running?"


def _delta(event: Mapping[str, Any]) -> EngineDelta:
    """A chunk as EngineDelta; whatever a server leaves out or sends as null is empty."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = choice.get("delta") or {}
    usage = event.get("usage") or {}
    return EngineDelta(
        text=str(delta.get("content") or ""),
        reasoning=str(delta.get("reasoning") or delta.get("reasoning_content") or ""),
        finish_reason=choice.get("finish_reason"),
        usage={key: int(value) for key, value in usage.items() if isinstance(value, int)} or None,
    )
