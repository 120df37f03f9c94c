"""A running gateway, asked over HTTP: what it offers, who answers, and one question at a time.

An overloaded or starting gateway (429, 5xx) is asked again, after what its Retry-After says. A question that it refuses
to answer (400) is an answer that failed; anything else that goes on going wrong raises GatewayError.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx

from data.errors import ConfigError, GatewayError
from evals.answers.connection import TRIES, connect, message_of, wait_s, worth_trying_again
from evals.answers.reply import Answer, Reply
from evals.questions import Question
from evals.runs import Arm

SINGLE_VOICED = ("compare",)
"""Models that cannot be asked here: two answers come at once."""


@dataclass(frozen=True)
class Offer:
    """What a gateway says of itself. ``generation``: its index. ``arms``: who answers for each, as far as it tells."""

    models: tuple[str, ...]
    generation: str = ""
    arms: Mapping[str, Arm] = field(default_factory=dict)


class _Again(Exception):
    """To be asked again. ``response``: the error that the gateway answered with, ``failed``: the answer that broke."""

    def __init__(self, message: str, response: httpx.Response | None = None, failed: Answer | None = None) -> None:
        super().__init__(message)
        self.response = response
        self.failed = failed


class Gateway:
    """The gateway at ``url``; an asynchronous context manager that holds its connections."""

    def __init__(self, url: str, key: str = "", seed: int = 0) -> None:
        self.url = url.rstrip("/")
        self._seed = seed
        self._http = connect(self.url, key)

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def offer(self, wanted: tuple[str, ...]) -> Offer:
        """What is behind the arms ``wanted``. Raises ConfigError for arms that are not offered, GatewayError."""
        models = tuple(str(model["id"]) for model in (await self._get("/v1/models")).get("data", ()))
        single = tuple(model for model in models if model not in SINGLE_VOICED)
        missing = next((arm for arm in wanted if arm not in single), None)
        if missing is not None or not wanted:
            raise ConfigError(
                f"the gateway at {self.url} has no voice {missing or ''!r}; --arms can name: {', '.join(single)}"
            )
        ready = await self._get("/readyz", accept=(503,))
        if not ready.get("ready", True):
            why = "; ".join(f"{part['part']}: {part['reason']}" for part in ready.get("down", ()))
            raise GatewayError(f"the gateway at {self.url} cannot answer yet ({why}): see its log, then run this again")
        index = (ready.get("parts") or {}).get("index") or {}
        return Offer(single, str(index.get("generation", "")), await self._arms(wanted))

    async def ask(self, question: Question, arm: str) -> Answer:
        """The whole answer. Raises GatewayError when none can be had now."""
        for attempt in range(TRIES):
            try:
                return await self._once(question, arm)
            except _Again as error:
                last = error
                if attempt < TRIES - 1:
                    await asyncio.sleep(wait_s(attempt, error.response))
        if last.failed:
            return last.failed
        raise GatewayError(f"{arm} gave no answer to question {question.id} in {TRIES} tries: {last}")

    async def _once(self, question: Question, arm: str) -> Answer:
        body = {
            "model": arm,
            "messages": question.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "seed": self._seed,
            "docduet": {"store": False},
        }
        began = time.perf_counter()
        reply = Reply()
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.is_error:
                    await response.aread()
                    return self._refused(response, question, arm)
                async for line in response.aiter_lines():
                    reply.feed(line, _ms(began))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Again(f"no gateway answers at {self.url} ({error})") from error
        except httpx.HTTPError as error:
            raise _Again(str(error) or type(error).__name__) from error
        answer = reply.answer(question.id, arm, _ms(began))
        if answer.failed:
            raise _Again(answer.failed, failed=answer)
        return answer

    def _refused(self, response: httpx.Response, question: Question, arm: str) -> Answer:
        """An error instead of an answer: raised, unless it will be the same the next time."""
        message = message_of(response)
        if worth_trying_again(response):
            raise _Again(message, response)
        if response.status_code == 400:
            return Answer(id=question.id, arm=arm, failed=message)
        raise GatewayError(f"{self.url} refuses to answer: {message}")

    async def _arms(self, wanted: tuple[str, ...]) -> dict[str, Arm]:
        """Who answers for each arm; empty where the key is no administrator's."""
        try:
            body = await self._get("/v1/admin/voices")
        except GatewayError:
            return {}
        engines = {str(voice["name"]): str(voice.get("engine") or "") for voice in body.get("data", ())}
        checkpoint = body.get("checkpoint") or {}
        learned = Arm(
            checkpoint=str(checkpoint.get("name", "")),
            checkpoint_step=checkpoint.get("step"),
            dataset_sha256=str(checkpoint.get("dataset_sha256", "")),
            base_model=str(checkpoint.get("base_model", "")),
        )
        return {
            arm: (learned if arm.startswith("sft") else Arm()).model_copy(update={"model": engines.get(arm, "")})
            for arm in wanted
        }

    async def _get(self, path: str, accept: tuple[int, ...] = ()) -> dict[str, Any]:
        try:
            response = await self._http.get(path)
            if response.is_error and response.status_code not in accept:
                raise GatewayError(f"{self.url} does not say what it offers: {message_of(response)}")
            body: dict[str, Any] = response.json()
            return body
        except httpx.UnsupportedProtocol:
            raise ConfigError(f"--gateway {self.url!r} is no address: give one such as http://127.0.0.1:7860") from None
        except httpx.HTTPError as error:
            raise GatewayError(
                f"no gateway answers at {self.url} ({error}): start one with `docduet serve`, or give another --gateway"
            ) from None
        except ValueError:
            raise GatewayError(f"{self.url} does not answer like a DocDuet gateway") from None


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
