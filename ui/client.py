"""HTTP client of the gateway, sync and async: the only way the UI and ``docduet ask`` reach it.

    for event in Gateway("http://127.0.0.1:7860").ask([user("How do I change the port?")]):
        ...

An answer is a stream of frozen events (ui/events.py). Whatever goes wrong before the first one raises GatewayError;
from then on a Failure ends the stream, so that what has been said already is kept. Messages are written for the person
who asked.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from data.errors import GatewayError
from data.prompts import Message
from data.types import Filters
from ui.events import AnswerParser, Event

CHAT = "/v1/chat/completions"
EVERYTHING = Filters()
TIMEOUT = httpx.Timeout(30.0, read=180.0)  # the gateway bounds an answer itself; this only catches a dead peer


@dataclass(frozen=True)
class Readiness:
    """What /readyz says. ``mode``: "engine" or "quoting"; ``error``: why there is no index, or "".

    ``engine``: "" where none is configured, else "starting", "failed" or "ready"; ``demo``: it is the small model that
    the demonstration brings along. ``refreshed_at``: when the docs were last refreshed without error (seconds since
    the epoch; 0: never); ``refresh_error``: why the last try failed, or "".
    """

    ready: bool
    mode: str = "engine"
    error: str = ""
    engine: str = ""
    refreshed_at: float = 0.0
    refresh_error: str = ""
    demo: bool = False


@dataclass(frozen=True)
class Labels:
    """What answers can be filtered by. ``values``: per label, in the order to show them; ``combinations``: the
    (product, version, lang) that pages have, "" where a page has no such label."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    combinations: tuple[tuple[str, str, str], ...] = ()


class RequestError(GatewayError):
    """The gateway answered with an error. ``status`` is the HTTP status, ``code`` the stable word in the body,
    ``conversation`` where the question was written down all the same."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.conversation = ""


def user(text: str) -> Message:
    """A user message."""
    return Message(role="user", content=text)


class Gateway:
    """A running gateway at ``url``, asked with ``key`` where it wants one. Cheap to make; connections are opened on
    first use and kept."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._options: dict[str, Any] = {"base_url": self.url, "timeout": TIMEOUT, "trust_env": not _is_local(self.url)}
        self._sync: httpx.Client | None = None
        self._async: httpx.AsyncClient | None = None

    @property
    def sync_client(self) -> httpx.Client:
        """Raises httpx.InvalidURL."""
        if self._sync is None:
            self._sync = httpx.Client(**self._options)
        return self._sync

    @property
    def async_client(self) -> httpx.AsyncClient:
        if self._async is None:
            self._async = httpx.AsyncClient(**self._options)
        return self._async

    def as_user(self, authorization: str) -> Gateway:
        """The same gateway, over the same connections, asked with this ``Authorization``; "": as it is."""
        if not authorization:
            return self
        other = copy.copy(self)
        other._async = self.async_client
        other._headers = {"Authorization": authorization}
        return other

    def close(self) -> None:
        """Close the sync connections."""
        if self._sync is not None:
            self._sync.close()
            self._sync = None

    async def aclose(self) -> None:
        """Close the async connections."""
        if self._async is not None:
            await self._async.aclose()
            self._async = None

    def ask(
        self, messages: Sequence[Message], model: str = "rag", filters: Filters = EVERYTHING, blind: bool = False
    ) -> Iterator[Event]:
        """The answer to ``messages`` as events; ``blind``: of `compare`, without telling whose it is.

        Raises GatewayError when it cannot start.
        """
        parser = AnswerParser()
        body = _body(messages, model, filters, blind=blind)
        with (
            self._readable(),
            self.sync_client.stream("POST", CHAT, json=body, headers=self._headers) as response,
        ):
            if response.is_error:
                raise error_of(response.status_code, response.read(), self.url)
            try:
                for line in response.iter_lines():
                    yield from parser.feed(line)
            except httpx.HTTPError as error:
                yield parser.broken(isinstance(error, httpx.TimeoutException))
            yield from parser.end()

    async def ask_async(
        self,
        messages: Sequence[Message],
        model: str = "rag",
        filters: Filters = EVERYTHING,
        blind: bool = False,
        *,
        conversation: str = "",
        replace: str = "",
    ) -> AsyncIterator[Event]:
        """As ``ask``. Closing the generator hangs up, which stops the answer.

        ``blind``: who answers is told after the vote; ``conversation``: where it is kept, "new" to begin one;
        ``replace``: the answer there whose place it takes.
        """
        parser = AnswerParser()
        body = _body(messages, model, filters, blind=blind, conversation=conversation, replace=replace)
        with self._readable():
            async with self.async_client.stream("POST", CHAT, json=body, headers=self._headers) as response:
                if response.is_error:
                    error = error_of(response.status_code, await response.aread(), self.url)
                    error.conversation = response.headers.get("X-DocDuet-Conversation", "")
                    raise error
                try:
                    async for line in response.aiter_lines():
                        for event in parser.feed(line):
                            yield event
                except httpx.HTTPError as error:
                    yield parser.broken(isinstance(error, httpx.TimeoutException))
                for event in parser.end():
                    yield event

    def models(self) -> list[str]:
        """Names of the voices that can be asked."""
        return _model_names(self._get("/v1/models"))

    async def models_async(self) -> list[str]:
        """As ``models``."""
        return _model_names(await self._get_async("/v1/models"))

    async def labels_async(self) -> Labels:
        """What answers can be filtered by."""
        return _labels(await self._get_async("/v1/labels"))

    def readiness(self) -> Readiness:
        """Whether questions can be answered, and how."""
        return _readiness(self._get("/readyz", accept=(503,)))

    async def readiness_async(self) -> Readiness:
        """As ``readiness``."""
        return _readiness(await self._get_async("/readyz", accept=(503,)))

    async def request_json(
        self, method: str, path: str, body: Any = None, accept: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """What the gateway answers, ``body`` sent as JSON. ``accept``: error statuses whose body is the answer.

        Raises RequestError for the other errors, GatewayError when nothing like a gateway answers.
        """
        with self._readable():
            response = await self.async_client.request(method, path, json=body, headers=self._headers)
            return self._checked(response, accept)

    async def content(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """What is there, whatever it is. Raises GatewayError."""
        with self._readable():
            response = await self.async_client.get(path, params=query or None, headers=self._headers)
            if response.is_error:
                raise error_of(response.status_code, response.content, self.url)
            return response.content

    async def request_text(self, path: str) -> str:
        """A file that the gateway makes. RequestError."""
        return (await self.content(path)).decode("utf-8")

    def _get(self, path: str, accept: tuple[int, ...] = ()) -> dict[str, Any]:
        with self._readable():
            response = self.sync_client.get(path, headers=self._headers)
            return self._checked(response, accept)

    async def _get_async(self, path: str, accept: tuple[int, ...] = ()) -> dict[str, Any]:
        return await self.request_json("GET", path, accept=accept)

    def _checked(self, response: httpx.Response, accept: tuple[int, ...]) -> dict[str, Any]:
        if response.is_error and response.status_code not in accept:
            raise error_of(response.status_code, response.content, self.url)
        body: dict[str, Any] = response.json()
        return body

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """httpx's and JSON's errors as GatewayError."""
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, json.JSONDecodeError) as error:
            raise GatewayError(explain(error, self.url)) from error


def _is_local(url: str) -> bool:
    """Whether ``url`` is on this machine, where no proxy of the environment helps."""
    try:
        return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False


def _body(messages: Sequence[Message], model: str, filters: Filters, **own: str | bool) -> dict[str, Any]:
    """``own``: more of the extra object, left out where empty."""
    body: dict[str, Any] = {"model": model, "messages": list(messages), "stream": True}
    body["stream_options"] = {"include_usage": True}
    if model == "auto":
        body["n"] = 2  # both voices may answer
    extra: dict[str, Any] = {name: value for name, value in own.items() if value}
    if filters:
        kept = {"product": filters.product, "version": filters.version, "lang": filters.lang}
        extra["filters"] = {name: value for name, value in kept.items() if value}
    return body | ({"docduet": extra} if extra else {})


def _model_names(body: dict[str, Any]) -> list[str]:
    return [str(model["id"]) for model in body.get("data", [])]


def _labels(body: dict[str, Any]) -> Labels:
    values = {str(name): tuple(map(str, found)) for name, found in (body.get("values") or {}).items()}
    entries = body.get("data") or []
    return Labels(values, tuple((str(e["product"]), str(e["version"]), str(e["lang"])) for e in entries))


def _readiness(body: dict[str, Any]) -> Readiness:
    parts = body.get("parts") or {}
    last = (parts.get("refresh") or {}).get("last") or {}
    engines = (parts.get("engines") or {}).values()
    states = {str(engine.get("state")) for engine in engines}
    return Readiness(
        ready=bool(body.get("ready")),
        mode=str(body.get("mode", "engine")),
        error=str((parts.get("index") or {}).get("error", "")),
        engine=_engine_state(states),
        refreshed_at=float(last.get("succeeded_at") or 0.0),
        refresh_error=str(last.get("error") or ""),
        demo=any(part.get("demo") for part in (*engines, parts.get("checkpoint") or {})),
    )


def _engine_state(states: set[str]) -> str:
    """One word for all engines: the most hopeful one that is not ready yet, for a reader who waits."""
    if not states:
        return ""
    if states <= {"ready", "external"}:
        return "ready"
    return "starting" if states & {"starting", "restarting"} else "failed"


def error_of(status: int, content: bytes, url: str) -> RequestError:
    """The error a response carries, in OpenAI's shape or not."""
    try:
        error = json.loads(content)["error"]
        return RequestError(str(error["message"]), status, str(error.get("code") or ""))
    except (ValueError, KeyError, TypeError):
        return RequestError(f"{url} answered with HTTP {status}, which is not an answer of a DocDuet gateway.", status)


def explain(error: Exception, url: str) -> str:
    """One readable sentence for an error below HTTP."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return f"No gateway answers at {url}. Start one with `docduet serve`, or give another --url."
        case httpx.TimeoutException():
            return f"The gateway at {url} took too long to answer. Try again in a moment."
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return f"{url!r} is not an address: give one such as http://127.0.0.1:7860"
        case json.JSONDecodeError():
            return f"{url} does not answer like a DocDuet gateway."
        case _:
            return f"The connection to {url} failed: {error}"
