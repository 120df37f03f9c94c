"""An exchange as rows, and rows as the answers they were: citations and sources as they stood when it was answered.

Pure but for the hash of a cited page, which the caller looks up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from serving.arms.events import Failed, Finished
from serving.arms.sources import Source
from serving.errors import as_api_error
from serving.exchange import Answer, Citation, Exchange
from serving.store.tables import Choice

MAX_HISTORY_CHARS = 20_000
"""Of the messages before a question, the newest so many characters are kept (whole messages)."""

PageHash = Callable[[str], str]
"""Page id -> hash of the page's content in the live index, "" where it has none."""

_FINISHED, _SOURCE = TypeAdapter(Finished), TypeAdapter(Source)
_OWN = {"arm", "sources", "refused", "degraded", "finish_reason", "usage", "timings_ms"}
"""Fields of Finished that have a column of their own; the others are kept as ``checks``."""


def question_row(exchange: Exchange) -> dict[str, Any]:
    """A row of ``answers`` for an exchange that has just begun."""
    turn = exchange.turn
    row = {
        "id": exchange.id,
        "owner": exchange.principal.user,
        "conversation_id": exchange.conversation or None,
        "asked_at": exchange.asked_at,
        "question": turn.question,
        "lang": turn.lang,
        "history": _newest(turn.history),
        "filters": asdict(turn.filters),
        "model": exchange.model,
        "route": {},
        "blind": exchange.blind,
        "error": {},
        "cancelled": False,
        "finished_at": None,
        "usage": {},
    }
    return clean(row)


def answer_row(exchange: Exchange) -> dict[str, Any]:
    """The same once it has ended."""
    known = as_api_error(exchange.error) if exchange.error else None
    ended = {
        "route": _route(exchange),
        "blind": exchange.blind,
        "error": {"code": known.code, "message": str(known)} if known else {},
        "cancelled": exchange.cancelled,
        "finished_at": time.time(),
        "usage": exchange.usage,
    }
    return question_row(exchange) | clean(ended)


def choice_rows(exchange: Exchange, page_hash: PageHash) -> list[dict[str, Any]]:
    """Rows of ``choices``: what each arm said, as far as it came."""
    arms = dict(enumerate(exchange.order))
    said = sorted(exchange.answers.items())
    return [clean(_choice_row(exchange.id, index, answer, arms.get(index, ""), page_hash)) for index, answer in said]


def _choice_row(answer_id: str, index: int, answer: Answer, arm: str, page_hash: PageHash) -> dict[str, Any]:
    done, failed = answer.finished, answer.failed
    sources = done.sources if done else _cited(answer)
    error = {"error": {"message": failed.message, "code": failed.code}} if failed else {}
    said = _FINISHED.dump_python(done, mode="json") if done else {}
    return {
        "answer_id": answer_id,
        "index": index,
        "arm": (failed and failed.arm) or (done and done.arm) or arm,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "refused": bool(done and done.refused),
        "degraded": (done and done.degraded) or "",
        "finish_reason": done.finish_reason if done else "error" if failed else "",
        "citations": [{"start": c.start, "end": c.end, "n": c.source.n} for c in answer.citations],
        "sources": [asdict(source) | {"page_hash": page_hash(source.page_id)} for source in sources],
        "timings_ms": dict(done.timings_ms) if done else {},
        "usage": dict((done and done.usage) or {}),
        "checks": {name: value for name, value in said.items() if name not in _OWN} | error,
    }


def answer_of(row: Choice) -> Answer:
    """What was said, with citations, sources and checks as they stood then."""
    sources = {snapshot["n"]: _SOURCE.validate_python(snapshot) for snapshot in row.sources}
    citations = [Citation(at["start"], at["end"], sources[at["n"]]) for at in row.citations if at["n"] in sources]
    answer = Answer(row.text, row.reasoning, citations)
    if error := row.checks.get("error"):
        answer.failed = Failed(row.arm, error["message"], error["code"])
    else:
        own = {name: getattr(row, name) for name in _OWN} | {"degraded": row.degraded or None}
        answer.finished = _FINISHED.validate_python(row.checks | own)
    return answer


def clean(value: Any) -> Any:
    """``value`` without what a database does not take as text: NUL and halves of surrogate pairs."""
    match value:
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case Mapping():
            return {name: clean(inner) for name, inner in value.items()}
        case list() | tuple():
            return [clean(inner) for inner in value]
    return value


def _cited(answer: Answer) -> list[Source]:
    """The sources of an answer that was cut off."""
    return list({citation.source.n: citation.source for citation in answer.citations}.values())


def _route(exchange: Exchange) -> dict[str, Any]:
    route = exchange.route
    found: dict[str, Any] = {"arms": list(route.arms), "reason": route.reason, "scores": dict(route.scores)}
    started = next((answer.started for _, answer in sorted(exchange.answers.items()) if answer.started), None)
    return found | (asdict(started) if started else {})


def _newest(history: tuple[Any, ...]) -> list[dict[str, str]]:
    kept: list[dict[str, str]] = []
    room = MAX_HISTORY_CHARS
    for message in reversed(history):
        room -= len(message["content"])
        if room < 0:
            break
        kept.append({"role": message["role"], "content": message["content"]})
    return kept[::-1]
