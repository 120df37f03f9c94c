"""An exchange in OpenAI's shapes: chat completion chunks (SSE) and whole chat completions.

Citations leave as ``url_citation`` annotations (offsets of the marker in the whole content, characters, end exclusive),
streamed in ``delta.annotations``, and once per source as the ``event: source`` chunk that Open WebUI shows as a chip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from serving.arms.events import Cited, Event, Failed, Finished, Reasoning, Started, Text
from serving.arms.findings import Sentence, share_supported
from serving.arms.sources import Source
from serving.errors import ApiError, error_body
from serving.exchange import Answer, Citation, Exchange

DONE = b"data: [DONE]\n\n"


def sse(body: dict[str, Any], event: str = "") -> bytes:
    """One server-sent event."""
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + orjson.dumps(body) + b"\n\n"


def source_body(source: Source, public_url: str) -> dict[str, Any]:
    """A source as it stands in ``choices[i].docduet.sources``."""
    return {
        "n": source.n,
        "page_id": source.page_id,
        "url": source.url,
        "href": source.href(public_url),
        "title": source.title,
        "heading_path": list(source.heading_path),
        "quote": source.quote,
        "marks": [list(mark) for mark in source.marks],
        "product": source.product,
        "version": source.version,
        "lang": source.lang,
        "score": source.score,
    }


def annotation(citation: Citation, public_url: str) -> dict[str, Any]:
    """A citation as OpenAI's chat completions show it."""
    cited = {
        "start_index": citation.start,
        "end_index": citation.end,
        "title": citation.source.name,
        "url": citation.source.href(public_url),
    }
    return {"type": "url_citation", "url_citation": cited}


def message(answer: Answer, public_url: str) -> dict[str, Any]:
    """An answer as an OpenAI message."""
    cited = [annotation(citation, public_url) for citation in answer.citations]
    said = {"role": "assistant", "content": answer.text, "annotations": cited}
    return said | (thought(answer.reasoning) if answer.reasoning else {})


def thought(text: str) -> dict[str, str]:
    """Thinking under both of the names that clients look for."""
    return {"reasoning": text, "reasoning_content": text}


def choice_body(answer: Answer, public_url: str) -> dict[str, Any]:
    """What stands in ``choices[i].docduet`` of an answer that has ended."""
    failed = answer.failed
    if failed:
        cited = tuple(dict.fromkeys(citation.source for citation in answer.citations))
        error = {"error": {"message": failed.message, "code": failed.code}}
        return _body(Finished(failed.arm, cited), public_url) | error
    assert answer.finished is not None
    return _body(answer.finished, public_url)


def _body(event: Finished, public_url: str) -> dict[str, Any]:
    return {
        "arm": event.arm,
        "sources": [source_body(source, public_url) for source in event.sources],
        "refused": event.refused,
        "degraded": event.degraded,
        "unsupported": [asdict(sentence) for sentence in event.unsupported],
        "support": None if event.support is None else [_sentence(sentence) for sentence in event.support],
        "supported": share_supported(event.support),
        "stale": [asdict(page) for page in event.stale],
        "truncated": asdict(event.truncated) if event.truncated else None,
        "timings_ms": event.timings_ms,
    }


def _sentence(sentence: Sentence) -> dict[str, Any]:
    """A checked sentence; ``url`` and ``title`` are null where no page supports it."""
    return {
        "start": sentence.start,
        "end": sentence.end,
        "url": sentence.url or None,
        "title": sentence.title or None,
        "page_id": sentence.page_id or None,
        "score": sentence.score,
    }


def blind_body(answer: Answer) -> dict[str, Any]:
    """What is told of an answer before the vote: at most that it failed."""
    failed = answer.failed
    return {"blind": True} | ({"error": {"message": failed.message, "code": failed.code}} if failed else {})


def reveal(order: Sequence[str], answers: Mapping[int, Answer], public_url: str) -> dict[str, Any]:
    """What a blind vote hid: each side's arm, its text with markers, and its sources."""
    choices = [
        {"index": index, "message": message(answer, public_url), "docduet": choice_body(answer, public_url)}
        for index, answer in sorted(answers.items())
    ]
    return {"order": list(order), "choices": choices}


@dataclass
class CompletionWriter:
    """Writes an exchange that is under way. ``public_url``: the gateway's address as the client sees it."""

    exchange: Exchange
    public_url: str
    include_usage: bool = False
    done: bytes = DONE
    _begun: bool = False

    def chunks(self, index: int, event: Event) -> list[dict[str, Any]]:
        """The chunks that ``event`` of choice ``index`` becomes; the exchange knows it already."""
        answer = self.exchange.answers[index]
        match event:
            case Started():
                first = self._chunk(index, {"role": "assistant", "content": ""})
                if self._begun:
                    return [first]
                self._begun = True
                return [first | {"docduet": self.top()}]
            case Text(text):
                return [self._chunk(index, {"content": text})]
            case Reasoning(text):
                return [self._chunk(index, thought(text))]
            case Cited():
                chip = [self._chunk(index, {}) | {"event": self._open_webui(event.source)}] if event.first else []
                cited = annotation(answer.citations[-1], self.public_url)
                return [*chip, self._chunk(index, {"content": event.marker, "annotations": [cited]})]
            case Finished():
                return [self._last(index, event.finish_reason)]
            case Failed():
                return [self._last(index, "error")]

    def sse(self, index: int, event: Event) -> list[bytes]:
        """The chunks of ``event`` as server-sent events."""
        return [sse(chunk) for chunk in self.chunks(index, event)]

    def ending(self) -> list[bytes]:
        """What stands between the last event and the end of the stream."""
        return [sse(chunk) for chunk in self.usage_chunk()]

    def failure(self, error: ApiError) -> list[bytes]:
        """What a stream says that cannot go on."""
        return [sse(error_body(str(error), error.status, error.code, error.param))]

    def usage_chunk(self) -> list[dict[str, Any]]:
        """What ends a stream whose client asked for the usage."""
        if not self.include_usage:
            return []
        return [self._head("chat.completion.chunk") | {"choices": [], "usage": self.exchange.usage}]

    def completion(self) -> dict[str, Any]:
        """The whole answer, once every event has come."""
        choices = [self._choice(index, answer) for index, answer in sorted(self.exchange.answers.items())]
        body = self._head("chat.completion") | {"choices": choices, "docduet": self.top()}
        return body | {"usage": self.exchange.usage}

    def top(self) -> dict[str, Any]:
        """The object at the top of a response, or of a stream's first chunk."""
        exchange = self.exchange
        told: dict[str, Any] = {"answer_id": exchange.id, "conversation": exchange.conversation or None}
        told |= {"unused": list(exchange.unused)} if exchange.unused else {}
        if exchange.blind:
            return told | {"blind": True}
        started = exchange.answers[min(exchange.answers)].started
        assert started is not None
        route = {
            "reason": exchange.route.reason,
            "arms": list(exchange.route.arms),
            "scores": dict(exchange.route.scores),
            "query": started.query,
            "rewritten": started.rewritten,
            "translated": started.translated,
        }
        return told | {"route": route}

    def _last(self, index: int, finish_reason: str) -> dict[str, Any]:
        """The chunk that ends a choice."""
        last = self._chunk(index, {}, finish_reason)
        last["choices"][0]["docduet"] = self._choice_body(self.exchange.answers[index])
        return last

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        body = self._choice_body(answer)
        return {"index": index, "message": message(answer, self.public_url)} | {
            "finish_reason": answer.finished.finish_reason if answer.finished else "error",
            "docduet": body,
        }

    def _choice_body(self, answer: Answer) -> dict[str, Any]:
        return blind_body(answer) if self.exchange.blind else choice_body(answer, self.public_url)

    def _open_webui(self, source: Source) -> dict[str, Any]:
        """Open WebUI numbers distinct names in order of arrival, so the name carries our number.

        No ``distances``: they would be shown as percent of relevance, which the scores of a hybrid search are not.
        """
        name = f"[{source.n}] {source.name}"
        href = source.href(self.public_url)
        data = {
            "source": {"name": name, "url": href},
            "document": [source.quote],
            "metadata": [{"source": href, "name": name}],
        }
        return {"type": "source", "data": data}

    def _head(self, kind: str) -> dict[str, Any]:
        exchange = self.exchange
        return {"id": exchange.id, "object": kind, "created": exchange.created, "model": exchange.model}

    def _chunk(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
        usage = {"usage": None} if self.include_usage else {}  # as OpenAI does: null in all chunks but the last
        return self._head("chat.completion.chunk") | {"choices": [choice]} | usage
