"""What an engine sends, as pieces of an answer. Pure: no I/O; what is not as OpenAI describes it is empty."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from data.errors import EngineError


class EngineDelta(NamedTuple):
    """A piece of an answer. ``usage`` (tokens) comes once, with the last piece; ``logprobs``, one a token, where they
    were asked for."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: dict[str, int] | None = None
    logprobs: tuple[float, ...] = ()


def first_token_of(body: Any) -> dict[str, float]:
    """Token -> logprob of a completion's first token; {} where it is not as OpenAI describes it."""
    try:
        listed = body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {str(entry["token"]): float(entry["logprob"]) for entry in listed}
    except (LookupError, TypeError, ValueError):
        return {}


def joined(deltas: Iterable[EngineDelta]) -> Iterator[EngineDelta]:
    """Neighbours that are text and nothing else as one: what came in one read leaves as one piece.

    An engine slower than the gateway sends piece by piece, and so they leave; when the gateway is busy, pieces pile up
    and cost what one does. An EngineError on the way leaves after what came before it.
    """
    waiting: EngineDelta | None = None
    try:
        for delta in deltas:
            if _only_text(delta) and waiting and _only_text(waiting):
                waiting = EngineDelta(waiting.text + delta.text, logprobs=waiting.logprobs + delta.logprobs)
                continue
            if waiting:
                yield waiting
            waiting = delta
    except EngineError:
        if waiting:
            yield waiting
        raise
    if waiting:
        yield waiting


def _only_text(delta: EngineDelta) -> bool:
    text, reasoning, finish_reason, usage, _ = delta
    return bool(text) and not reasoning and finish_reason is None and usage is None


def parsed(data: bytes) -> Any:
    """JSON; half a character, which orjson refuses and no client could be sent, becomes a question mark."""
    try:
        return orjson.loads(data)
    except ValueError:
        return json.loads(json.dumps(json.loads(data), ensure_ascii=False).encode(errors="replace"))


def delta_of(event: Mapping[str, Any]) -> EngineDelta:
    """A chunk as EngineDelta; whatever a server leaves out or sends as null is empty."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta, reason = choice.get("delta"), choice.get("finish_reason")
    delta = delta if isinstance(delta, dict) else {}
    return EngineDelta(
        text=str(delta.get("content") or ""),
        reasoning=str(delta.get("reasoning") or delta.get("reasoning_content") or ""),
        finish_reason=reason if isinstance(reason, str) else None,
        usage=counted(event.get("usage")) or None,
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _logprobs(told: Any) -> tuple[float, ...]:
    """Of each token of a chunk; () where they are not as OpenAI describes them."""
    if not told:
        return ()
    try:
        return tuple(float(entry["logprob"]) for entry in told["content"])
    except (LookupError, TypeError, ValueError):
        return ()


def counted(usage: Any) -> dict[str, int]:
    """The whole numbers of a ``usage``."""
    return (
        {key: int(value) for key, value in usage.items() if isinstance(value, int)} if isinstance(usage, dict) else {}
    )
