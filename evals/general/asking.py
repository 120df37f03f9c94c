"""A gateway asked one probe: the prompt alone under a neutral system message, greedily, and nothing of it stored.

A system message in the request takes the place of the arm's own: `base` and `sft` then read the same words, and what
differs in their answers is the weights. (With their own prompts, `base` is told to answer completely, and `sft` what it
was trained with.)
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import httpx

from data.errors import GatewayError
from evals.answers.connection import TRIES, connect, message_of, wait_s, worth_trying_again
from evals.answers.gateway import Gateway
from evals.general.probes import Probe

NEUTRAL = {"en": "You are a helpful assistant.", "zh": "你是一个乐于助人的助手。"}
OWN = "own"
"""For --system: each arm is asked under its own system prompt."""


async def who_answers(url: str, key: str, arms: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The engine and checkpoint behind each arm, as far as the gateway tells. Raises ConfigError for an arm that is not
    offered, GatewayError where no gateway answers."""
    async with Gateway(url, key) as gateway:
        offer = await gateway.offer(arms)
    return {arm: offer.arms[arm].model_dump() if arm in offer.arms else {} for arm in arms}


class Asking:
    """The gateway at ``url``; an asynchronous context manager. ``system``: "" is the neutral one, OWN the arm's."""

    def __init__(self, url: str, key: str = "", system: str = "", seed: int = 0) -> None:
        self.url = url.rstrip("/")
        self._system = system
        self._seed = seed
        self._http = connect(self.url, key)

    async def __aenter__(self) -> Asking:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def answer(self, probe: Probe, arm: str) -> str:
        """What ``arm`` says. Busy (429) and failing (5xx) gateways are asked again; raises GatewayError in the end."""
        body = {
            "model": arm,
            "messages": [*self._instructions(probe.lang), {"role": "user", "content": probe.prompt}],
            "temperature": 0,
            "seed": self._seed,
            "max_tokens": probe.max_tokens,
            "docduet": {"store": False},
        }
        problem = ""
        for attempt in range(TRIES):
            response = None
            try:
                response = await self._http.post("/v1/chat/completions", json=body)
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
            else:
                if response.is_success:
                    return str(response.json()["choices"][0]["message"]["content"] or "")
                problem = message_of(response)
                if not worth_trying_again(response):
                    raise GatewayError(f"{arm} refuses {probe.id}: {problem}; the answers so far are kept")
            if attempt < TRIES - 1:
                await asyncio.sleep(wait_s(attempt, response))
        raise GatewayError(
            f"{arm} does not answer {probe.id}: {problem}; the answers so far are kept: run it again later"
        )

    def _instructions(self, lang: str) -> list[dict[str, str]]:
        if self._system == OWN:
            return []
        return [{"role": "system", "content": self._system or NEUTRAL[lang]}]
