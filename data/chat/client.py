"""A model over HTTP, a teacher or a judge: any OpenAI-compatible chat completions endpoint.

aiohttp rather than the openai package: it is there already (engines are asked with it) and takes a fraction of the CPU
time of a call, which matters when thirty-two are on their way and two cores drive them.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
import orjson

from data.chat.calls import Call, Reply, TurnedDown
from data.errors import ConfigError, EngineError, network_reason
from data.text import estimate_tokens

RETRIED = frozenset({408, 409, 425, 429})
"""... and everything from 500 on."""


@dataclass(frozen=True)
class Patience:
    """``call_s``: longest wait for one answer. Waits double from ``backoff_s``, up to ``cap_s``; seconds."""

    call_s: float = 300.0
    tries: int = 6
    backoff_s: float = 0.5
    cap_s: float = 120.0

    def wait(self, attempt: int, asked: float | None) -> float:
        """Before the next try: what the server asked for, else longer each time, with chance in it."""
        own = self.backoff_s * 2**attempt * random.uniform(0.5, 1.5)
        return min(self.cap_s, own if asked is None else asked)


@dataclass(frozen=True)
class Role:
    """What messages call the model, and the options by which people name it."""

    name: str = "teacher"
    url_option: str = "--teacher"
    model_option: str = "--model"
    key_option: str = "--teacher-key-env"


TEACHER = Role()


class ChatClient:
    """``url`` ends in /v1. An async context manager."""

    def __init__(
        self, url: str, model: str = "", key: str = "", patience: Patience | None = None, role: Role = TEACHER
    ) -> None:
        self.url = url.rstrip("/")
        self.model = model
        self.role = role
        self._patience = patience or Patience()
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._plain = False

    async def __aenter__(self) -> ChatClient:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def _named(self) -> str:
        return f"the {self.role.name} at {self.url}"

    async def check(self) -> None:
        """Is it there, does it take the key, does it have the model? Without a name, its only model is taken.

        Raises EngineError (unreachable) or ConfigError, which names the models there are.
        """
        try:
            async with self._session.get(f"{self.url}/models", timeout=aiohttp.ClientTimeout(total=20)) as response:
                status, text = response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EngineError(
                f"the {self.role.name} at {self.url} cannot be reached: {_why(error)}; is it running?"
            ) from None
        self._refuse(status, text)
        try:
            names = [str(model["id"]) for model in json.loads(text)["data"]]
        except (ValueError, KeyError, TypeError):
            names = None
        if status != 200 or names is None:
            raise EngineError(
                f"{self.url}/models answered {status}, no list of models: "
                f"give {self.role.url_option} an address that ends in /v1"
            )
        if not self.model and len(names) == 1:
            self.model = names[0]
        if self.model not in names:
            wanted = (
                f"has no model {self.model!r}"
                if self.model
                else f"has several models: choose one with {self.role.model_option}"
            )
            listed = ", ".join(names) or "none"
            raise ConfigError(f"the {self.role.name} at {self.url} {wanted}; it has: {listed}")

    async def send(self, call: Call) -> Reply:
        """Ask, again where it may help. Raises TurnedDown when it does not, ConfigError when nothing would."""
        reason = ""
        attempt = 0
        while attempt < self._patience.tries:
            started = time.monotonic()
            asked: float | None = None
            plain = self._plain
            try:
                status, headers, text = await self._post(call.body(self.model, plain))
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = _why(error)
            else:
                self._refuse(status, text)
                if status == 200:
                    reply = _reply(text, time.monotonic() - started, call.thinking)
                    if reply is not None:
                        return reply
                    reason = "the answer is no chat completion"
                else:
                    reason = f"{status}: {_complaint(text)}"
                    if status == 400 and not plain and "chat_template_kwargs" in text:
                        self._plain = True  # a server that does not know the switch for thinking
                        continue
                    if status not in RETRIED and status < 500:
                        raise TurnedDown("teacher", f"the {self.role.name} answered {reason}")
                    asked = _retry_after(headers)
            attempt += 1
            if attempt < self._patience.tries:
                await asyncio.sleep(self._patience.wait(attempt - 1, asked))
        raise TurnedDown("teacher", f"the {self.role.name} failed {attempt} times: {reason}")

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], str]:
        timeout = aiohttp.ClientTimeout(total=self._patience.call_s, sock_connect=10)
        async with self._session.post(f"{self.url}/chat/completions", data=body, timeout=timeout) as response:
            return response.status, response.headers, (await response.read()).decode(errors="replace")

    def _refuse(self, status: int, text: str) -> None:
        """What no second try mends."""
        if status in (401, 403):
            with_key = (
                "its key"
                if "Authorization" in self._headers
                else f"a call without a key: name one with {self.role.key_option}"
            )
            raise ConfigError(f"{self._named} refused {with_key} ({status}: {_complaint(text)})")


def _reply(text: str, seconds: float, thinking: bool) -> Reply | None:
    """The completion in ``text``; None where there is none."""
    try:
        body = orjson.loads(text)
        choice = body["choices"][0]
        said, usage = choice["message"], body.get("usage") or {}
        content = str(said.get("content") or "")
        reasoning = str(said.get("reasoning") or said.get("reasoning_content") or "")
        if not thinking and not content and reasoning:  # some servers put a plain answer there
            content, reasoning = reasoning, ""
        prompt = int(usage.get("prompt_tokens") or 0)
        completion = int(usage.get("completion_tokens") or estimate_tokens(content + reasoning))
        return Reply(content, reasoning, str(choice.get("finish_reason") or "stop"), prompt, completion, seconds)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number or a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _complaint(text: str) -> str:
    """The server's own words where it has some, on one line."""
    try:
        error = json.loads(text)["error"]
        text = error["message"] if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        pass
    return " ".join(text.split())[:200] or "no reason given"


def _why(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) and not str(error) else network_reason(error)
