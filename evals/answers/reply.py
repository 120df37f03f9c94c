"""An answer of the gateway, as it is kept, and how it is read off a stream of chat completion chunks. Pure: no I/O.

The stream is the gateway's (serving/api/wire.py), with one choice: markers come as annotations, what DocDuet says of
the answer in the last chunk's ``docduet``, the tokens at the end.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict

from data.errors import GatewayError

_NUMBER = re.compile(r"\[(\d{1,3})\]")


class Mark(BaseModel):
    """A citation marker in the text: offsets in characters, end exclusive."""

    model_config = ConfigDict(frozen=True)
    start: int
    end: int
    n: int


class Cited(BaseModel):
    """A source under an answer, as ``choices[0].docduet.sources`` has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    n: int
    url: str = ""
    title: str = ""
    heading_path: tuple[str, ...] = ()
    quote: str = ""


class Answer(BaseModel):
    """One arm's answer to one question. Times are ms from the request on; ``tokens``: written.

    ``by``: the arm that wrote it, where `auto` was asked. ``failed``: what the gateway said where it gave no whole one.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    arm: str
    by: str = ""
    text: str = ""
    markers: tuple[Mark, ...] = ()
    sources: tuple[Cited, ...] = ()
    refused: bool = False
    degraded: str = ""
    finish_reason: str = ""
    failed: str = ""
    first_ms: float | None = None
    latency_ms: float | None = None
    tokens: int | None = None


class Reply:
    """An answer under way: feed the stream's lines."""

    def __init__(self) -> None:
        self.text = ""
        self.first_ms: float | None = None
        self._marks: list[Mark] = []
        self._own: dict[str, Any] = {}
        self._finish = ""
        self._tokens: int | None = None
        self._error = ""
        self._ended = False

    def feed(self, line: str, ms: float) -> None:
        """Take in one line, ``ms`` after the request. Raises GatewayError for what no gateway sends."""
        if not line.startswith("data:"):
            return
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self._ended = True
            return
        try:
            self._chunk(json.loads(data), ms)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise GatewayError(
                "the gateway's stream cannot be read: is it a DocDuet gateway of this version?"
            ) from None

    @property
    def failed(self) -> str:
        """Why the answer is not whole; "" when it is."""
        if self._error or (self._ended and self._finish):
            return self._error
        return "the stream broke off"

    def answer(self, id: str, arm: str, latency_ms: float) -> Answer:
        """What has come."""
        return Answer(
            id=id,
            arm=arm,
            by=str(self._own.get("arm") or ""),
            text=self.text,
            markers=tuple(self._marks),
            sources=tuple(Cited.model_validate(source) for source in self._own.get("sources") or ()),
            refused=bool(self._own.get("refused")),
            degraded=str(self._own.get("degraded") or ""),
            finish_reason=self._finish,
            failed=self.failed,
            first_ms=self.first_ms,
            latency_ms=latency_ms,
            tokens=self._tokens,
        )

    def _chunk(self, body: dict[str, Any], ms: float) -> None:
        if "error" in body:
            self._error = str(body["error"]["message"])
        if body.get("usage"):
            self._tokens = int(body["usage"]["completion_tokens"])
        for choice in body.get("choices", ()):
            self._delta(choice.get("delta") or {}, ms)
            self._finish = choice.get("finish_reason") or self._finish
            self._own |= choice.get("docduet") or {}
        if error := self._own.get("error"):
            self._error = str(error["message"])

    def _delta(self, delta: dict[str, Any], ms: float) -> None:
        said = delta.get("content") or ""
        if said and self.first_ms is None:
            self.first_ms = ms
        self.text += said
        for annotation in delta.get("annotations") or ():
            at = annotation["url_citation"]
            start, end = int(at["start_index"]), int(at["end_index"])
            number = _NUMBER.fullmatch(self.text[start:end])
            if number:
                self._marks.append(Mark(start=start, end=end, n=int(number[1])))
