"""One call to a model and what came back. Plain values; the same call always has the same key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from data.prompts import Message


class TurnedDown(Exception):
    """What the model wrote is not good enough. ``gate``: which check says so."""

    def __init__(self, gate: str, reason: str) -> None:
        super().__init__(reason)
        self.gate = gate
        self.reason = reason


@dataclass(frozen=True)
class Call:
    """``kind``: for counting. ``max_tokens`` bounds the answer, its thinking included. ``temperature`` None: the
    server's own.

    ``take``: which of several answers to the same request. It is not sent: a seed would be, but vLLM 0.32 on a CPU dies
    of a request with one whose prompt is read in pieces ("CPU Generator does not use offset").
    """

    kind: str
    messages: tuple[Message, ...]
    max_tokens: int
    thinking: bool = False
    temperature: float | None = None
    take: int = 0

    def key(self, model: str) -> bytes:
        """32 bytes: model, messages and parameters, but not the address: another server may go on."""
        asked = [model, list(self.messages), self.max_tokens, self.thinking, self.temperature, self.take]
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()

    def body(self, model: str, plain: bool = False) -> bytes:
        """The request as JSON. ``plain``: without the switch for thinking, which not every server knows."""
        body: dict[str, Any] = {
            "model": model,
            "messages": list(self.messages),
            "max_tokens": self.max_tokens,
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if not plain:
            body["chat_template_kwargs"] = {"enable_thinking": self.thinking}
        return orjson.dumps(body)


@dataclass(frozen=True)
class Reply:
    """``finish``: OpenAI's finish_reason. ``seconds``: what the call took when it was made."""

    text: str
    reasoning: str = ""
    finish: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def to_json(self) -> str:
        return orjson.dumps(vars(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Reply:
        return cls(**orjson.loads(text))
