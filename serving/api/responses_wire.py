"""An exchange in the shapes of OpenAI's Responses API: whole, or as typed events in their order.

response.created, .in_progress; for thinking and for the answer each an output item with one content part, its deltas
and what closes it; response.completed, .incomplete or .failed. Citations are flat ``url_citation`` annotations. One
answer: of two choices the first counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from serving.api.wire import CompletionWriter, annotation, choice_body, sse
from serving.arms.events import Cited, Event, Failed, Finished, Reasoning, Started, Text
from serving.errors import ApiError
from serving.exchange import Answer, Citation, Exchange

_KINDS = {"reasoning": "reasoning_text", "message": "output_text"}


def flat(citation: Citation, public_url: str) -> dict[str, Any]:
    """A citation as the Responses API shows it."""
    return {"type": "url_citation", **annotation(citation, public_url)["url_citation"]}


@dataclass
class ResponseWriter:
    """Writes an exchange that is under way. ``echo``: what a response repeats of its request."""

    exchange: Exchange
    public_url: str
    echo: dict[str, Any]
    done: bytes = b""
    _sequence: int = 0
    _open: str = ""  # the kind of the item under way: "reasoning" or "message"
    _closed: list[str] = field(default_factory=list)

    def sse(self, index: int, event: Event) -> list[bytes]:
        """The events that ``event`` becomes; the exchange knows it already."""
        if index != 0:
            return []
        return [sse(body, body["type"]) for body in self.events(event)]

    def ending(self) -> list[bytes]:
        return []

    def failure(self, error: ApiError) -> list[bytes]:
        """What a stream says that cannot go on."""
        body = self._event("response.failed", response=self.response(error))
        return [sse(body, "response.failed")]

    def events(self, event: Event) -> list[dict[str, Any]]:
        """The typed events that ``event`` of the first choice becomes."""
        match event:
            case Started():
                begun = self._whole("in_progress", [])
                return [self._event(f"response.{name}", response=begun) for name in ("created", "in_progress")]
            case Reasoning(text):
                return [] if self._said_something else [*self._opened("reasoning"), self._delta("reasoning", text)]
            case Text(text):
                return [*self._opened("message"), self._delta("message", text)]
            case Cited():
                return [*self._opened("message"), self._delta("message", event.marker), self._cited()]
            case Finished():
                last = self.response()
                opened = self._opened("message")
                return [*opened, *self._close(), self._event(f"response.{last['status']}", response=last)]
            case Failed():
                error = ApiError(event.message, 503, event.code)
                return [*self._close(), self._event("response.failed", response=self.response(error))]

    def response(self, error: ApiError | None = None) -> dict[str, Any]:
        """The response as it stands at the end."""
        answer = self._answer
        if error is None and answer.failed:
            error = ApiError(answer.failed.message, 503, answer.failed.code)
        if error is not None:
            body = self._whole("failed", self._output("incomplete"))
            return body | {"error": {"code": "server_error", "message": str(error)}}
        cut = answer.finished is not None and answer.finished.finish_reason == "length"
        status = "incomplete" if cut else "completed"
        body = self._whole(status, self._output(status))
        return body | {"incomplete_details": {"reason": "max_output_tokens"} if cut else None, "usage": self._usage()}

    @property
    def _answer(self) -> Answer:
        return self.exchange.answers.get(0, Answer())

    @property
    def _said_something(self) -> bool:
        return "message" in (self._open, *self._closed)

    def _output(self, status: str) -> list[dict[str, Any]]:
        """The output items as far as the answer has come."""
        answer = self._answer
        items = [self._item("reasoning", "completed")] if answer.reasoning else []
        if answer.text or answer.finished:
            items.append(self._item("message", status))
        return items

    def _item(self, kind: str, status: str) -> dict[str, Any]:
        """An output item with all that has been said."""
        parts = [] if status == "in_progress" else [self._part(kind)]
        item: dict[str, Any] = {"id": self._id(kind), "type": kind, "status": status, "content": parts}
        if kind == "reasoning":
            return item | {"summary": []}
        ended = self._answer.finished or self._answer.failed
        told = {"docduet": choice_body(self._answer, self.public_url)} if ended else {}
        return item | {"role": "assistant"} | told

    def _part(self, kind: str, empty: bool = False) -> dict[str, Any]:
        answer = self._answer
        if kind == "reasoning":
            return {"type": "reasoning_text", "text": "" if empty else answer.reasoning}
        notes = [] if empty else [flat(citation, self.public_url) for citation in answer.citations]
        return {"type": "output_text", "text": "" if empty else answer.text, "annotations": notes, "logprobs": []}

    def _opened(self, kind: str) -> list[dict[str, Any]]:
        """What opens an item of this kind where none is open, closing the one before."""
        if self._open == kind:
            return []
        closing = self._close()
        self._open = kind
        item = self._item(kind, "in_progress")
        return [
            *closing,
            self._event("response.output_item.added", output_index=len(self._closed), item=item),
            self._in_part("response.content_part.added", part=self._part(kind, empty=True)),
        ]

    def _close(self) -> list[dict[str, Any]]:
        """What closes the item under way."""
        kind = self._open
        if not kind:
            return []
        part = self._part(kind)
        done = {"text": part["text"]} | ({"logprobs": []} if kind == "message" else {})
        status = self._status if kind == "message" else "completed"
        events = [
            self._in_part(f"response.{_KINDS[kind]}.done", **done),
            self._in_part("response.content_part.done", part=part),
            self._event("response.output_item.done", output_index=len(self._closed), item=self._item(kind, status)),
        ]
        self._closed.append(kind)
        self._open = ""
        return events

    @property
    def _status(self) -> str:
        finished = self._answer.finished
        return "completed" if finished and finished.finish_reason != "length" else "incomplete"

    def _delta(self, kind: str, text: str) -> dict[str, Any]:
        more: dict[str, Any] = {"logprobs": []} if kind == "message" else {}
        return self._in_part(f"response.{_KINDS[kind]}.delta", delta=text, **more)

    def _cited(self) -> dict[str, Any]:
        cited = self._answer.citations
        return self._in_part(
            "response.output_text.annotation.added",
            annotation_index=len(cited) - 1,
            annotation=flat(cited[-1], self.public_url),
        )

    def _in_part(self, kind: str, **more: Any) -> dict[str, Any]:
        where = {"item_id": self._id(self._open), "output_index": len(self._closed), "content_index": 0}
        return self._event(kind, **where, **more)

    def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        number, self._sequence = self._sequence, self._sequence + 1
        return {"type": kind, "sequence_number": number, **more}

    def _id(self, kind: str) -> str:
        prefix = {"reasoning": "rs", "message": "msg", "response": "resp"}[kind]
        return f"{prefix}_{self.exchange.id.removeprefix('ans_')}"

    def _whole(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        fixed = {
            "id": self._id("response"),
            "object": "response",
            "created_at": self.exchange.created,
            "status": status,
            "model": self.exchange.model,
            "output": output,
            "error": None,
            "incomplete_details": None,
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
            "usage": None,
            "docduet": CompletionWriter(self.exchange, self.public_url).top(),
        }
        return fixed | self.echo

    def _usage(self) -> dict[str, Any]:
        used = self.exchange.usage
        return {
            "input_tokens": used["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": used["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": used["total_tokens"],
        }
