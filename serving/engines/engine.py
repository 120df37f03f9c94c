"""An engine: any OpenAI-compatible LLM server, asked over HTTP (aiohttp: streams cost a third of httpx's time).

Starting and watching vLLM belongs to serving/engines/supervisor.py; what to ask belongs to data/prompts.py.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing, suppress
from functools import partial
from types import MappingProxyType
from typing import Any

import aiohttp
import orjson

from data.errors import EngineError, EngineRefusedError, PromptTooLongError, network_reason
from data.prompts import Message
from serving.engines import spent
from serving.engines.delta import EngineDelta, counted, delta_of, first_token_of, joined, parsed
from serving.engines.patience import Patience
from serving.engines.sse import EventReader, LineTooLong
from serving.engines.trust import BELIEVED, Trust
from serving.ops.current import request_header
from serving.ops.tracing import model_call

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
ASKED_FOR = SAMPLING - {"max_tokens"}
"""What stands in a request only because somebody asked for it."""
CONNECT_TIMEOUT_S = 5.0
GOODBYE_S = 0.1
"""How long the end of a response is waited for after [DONE]."""
_TOO_LONG = re.compile(r"context[ _]length|longer than the maximum model length|exceeds? the (?:available )?context")


class Engine:
    """``base_url`` ends in /v1. ``model``: the name to ask for; empty takes the first that the server lists.

    ``idle_timeout_s``: silence between two pieces that counts as failure. ``first_timeout_s``: the same before the
    first piece, which waits for the prompt. ``extra_body``: fields that every request carries (ours, not a client's).
    ``ignores``: sampling parameters that are left out, because the server does not survive them. ``context``: tokens
    that prompt and answer may have together, where the server has said so (vLLM lists it with its models).
    ``trust``: what its model is trusted with.
    """

    _extra_body: Mapping[str, Any] = MappingProxyType({})
    context: int | None = None
    trust: Trust = BELIEVED

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
        trust: Trust = BELIEVED,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._model = model
        self._idle_timeout_s = idle_timeout_s
        self._first_timeout_s = first_timeout_s
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._extra_body = dict(extra_body or {})
        self._ignores = ignores
        self.trust = trust
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
        finished = answered = False
        call = spent.begin(messages)
        self.active += 1
        patience = Patience(self._first_timeout_s)
        try:
            body = {
                "model": await self.model(),
                "messages": list(messages),
                "stream": True,
                "stream_options": {"include_usage": True},
                **({"logprobs": True} if self.trust.quote_below else {}),
                **{name: value for name, value in params.items() if name not in self._ignores},
                **self._extra_body,
            }
            with model_call(self.base_url, body) as trace:
                headers = {**request_header(), **trace.headers}
                async with (
                    self._post("/chat/completions", body, headers, patience) as response,
                    aclosing(self._events(response, patience, body)) as reads,
                ):
                    answered = True
                    async for events in reads:
                        for delta in joined(map(delta_of, events)):
                            call.said(delta.text + delta.reasoning)
                            if delta.usage:
                                call.told(delta.usage)
                            finished = finished or delta.finish_reason is not None
                            trace.heard(delta.finish_reason, delta.usage)
                            yield delta
        except EngineError:
            if not answered:
                call.refused()
            raise
        finally:
            self.active -= 1
            patience.close()
        if not finished:
            raise EngineError(f"engine {self.name!r} broke off before the end of its answer")

    async def first_token(self, messages: Sequence[Message], top: int = 10) -> dict[str, float]:
        """The ``top`` likeliest first tokens of an answer -> logprob; {} where the server gives none.

        Raises EngineError. How long it may take is the caller's to say.
        """
        body = {
            "model": await self.model(),
            "messages": list(messages),
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": top,
            **self._extra_body,
        }
        with closing(Patience(self._first_timeout_s)) as patience:
            async with self._post("/chat/completions", body, request_header(), patience) as response:
                call = spent.begin(messages)
                try:
                    said = await response.json(content_type=None)
                except ValueError:
                    return {}  # a stream, or whatever else is not the JSON that was asked for
                call.told(counted(said.get("usage")) if isinstance(said, dict) else {})
                return first_token_of(said)

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
            trust=self.trust,
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
            with closing(Patience(timeout_s)) as patience:
                async with asyncio.timeout(timeout_s), self._post(path, body, request_header(), patience):
                    pass
        except TimeoutError:
            raise EngineError(f"engine {self.name!r} did not answer {path} within {timeout_s:g} s") from None

    async def model(self) -> str:
        """The model name to ask for."""
        if not self._model:
            listed = await self._listed(CONNECT_TIMEOUT_S)
            if not listed:
                raise EngineError(f"engine {self.name!r} at {self.base_url} lists no model")
            self._model = str(listed[0]["id"])
            self._note(listed)
        return self._model

    async def ready(self, timeout_s: float = CONNECT_TIMEOUT_S) -> bool:
        """Whether the server answers and has the model."""
        try:
            models = await self._listed(timeout_s)
        except EngineError:
            return False
        self._note(models)
        listed = {str(model.get("id")) for model in models}
        return bool(listed) and (not self._model or self._model in listed)

    async def _listed(self, timeout_s: float) -> list[dict[str, Any]]:
        """The server's models; what is not as OpenAI describes it is left out."""
        data = (await self._get("/models", timeout_s)).get("data")
        return (
            [model for model in data if isinstance(model, dict) and model.get("id")] if isinstance(data, list) else []
        )

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

    async def _get(self, path: str, timeout_s: float) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._client().get(self.base_url + path, timeout=timeout) as response:
                if response.status != 200:
                    raise await self._complaint(response)
                body = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EngineError(self._unreachable(error)) from None
        return body if isinstance(body, dict) else {}

    @asynccontextmanager
    async def _post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], patience: Patience
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        sent = {"Content-Type": "application/json", **headers}
        request = self._client().post(self.base_url + path, data=orjson.dumps(body), headers=sent, timeout=timeout)
        try:
            with patience:
                response = await request
            async with response:
                if response.status != 200:
                    with patience:
                        complaint = await self._complaint(response)
                    if response.status in (400, 413) and _TOO_LONG.search(str(complaint)):
                        raise PromptTooLongError(str(complaint), complaint.plain)
                    raise _blamed(complaint, response.status, body)
                yield response
        except TimeoutError:
            raise EngineError(f"engine {self.name!r} said nothing for {self._first_timeout_s:g} s") from None
        except aiohttp.ClientError as error:
            raise EngineError(self._unreachable(error)) from None

    async def _events(
        self, response: aiohttp.ClientResponse, patience: Patience, asked: Mapping[str, Any]
    ) -> AsyncGenerator[Iterator[dict[str, Any]]]:
        """The JSON objects of a server-sent event stream, up to [DONE] or the end: those of each read together."""
        reader = EventReader()
        try:
            while True:
                with patience:
                    read = await response.content.readany()
                found = reader.feed(read) if read else reader.close()
                ended = next((n for n, data in enumerate(found) if data.strip() == b"[DONE]"), None)
                if found:
                    yield map(partial(self._event, asked), found[:ended])
                    patience.each_s = self._idle_timeout_s
                if not read:
                    return
                if ended is not None:
                    patience.each_s = GOODBYE_S  # the response ends now: then its connection can be used again
                    with suppress(TimeoutError, aiohttp.ClientError), patience:
                        await response.content.readany()
                    return
        except TimeoutError:
            raise EngineError(f"engine {self.name!r} fell silent for {patience.each_s:g} s mid-answer") from None
        except LineTooLong:
            raise EngineError(f"engine {self.name!r} sent an endless line") from None

    def _event(self, asked: Mapping[str, Any], data: bytes) -> dict[str, Any]:
        try:
            event = parsed(data)
        except (ValueError, RecursionError):
            raise EngineError(f"engine {self.name!r} sent something that is not JSON") from None
        if not isinstance(event, dict):
            raise EngineError(f"engine {self.name!r} sent something that is not a chunk")
        if event.get("error"):
            error = event["error"]
            message, code = (error.get("message"), error.get("code")) if isinstance(error, dict) else (error, None)
            complaint = EngineError(f"engine {self.name!r}: {message}", plain=f"engine {self.name!r} sent an error")
            raise _blamed(complaint, code, asked)
        return event

    async def _complaint(self, response: aiohttp.ClientResponse) -> EngineError:
        """One line for an HTTP error: the server's own message where it has one."""
        text = (await response.content.read(2000)).decode(errors="replace")
        try:
            error = json.loads(text)["error"]
            text = error["message"] if isinstance(error, dict) else str(error)
        except (ValueError, KeyError, TypeError):
            pass
        plain = f"engine {self.name!r} answered {response.status}"
        return EngineError(f"{plain}: {' '.join(text.split())[:300]}", plain)

    def _unreachable(self, error: Exception) -> str:
        where = f"engine {self.name!r} at {self.base_url}"
        return f"{where} cannot be reached: {network_reason(error)}; is it running?"


def _blamed(complaint: EngineError, status: Any, asked: Mapping[str, Any]) -> EngineError:
    """A complaint about the request itself, where a client had a say in it, is the client's to mend."""
    if status in (400, 422) and asked.keys() & ASKED_FOR:
        return EngineRefusedError(str(complaint), complaint.plain)
    return complaint
