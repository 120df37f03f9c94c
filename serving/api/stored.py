"""What is stored, in the shapes that it was answered in: a client that shows an answer shows a stored one as well.

Blind answers that have not been voted on keep their secret: no arm, source, marker, citation, route or timing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.corrections import Key, use_of
from data.feedback import Feedback
from serving.api.wire import blind_body, choice_body, message
from serving.arms.events import Cited, Event, Finished, Text
from serving.blind import Mask
from serving.exchange import Answer
from serving.store.conversations import Turn
from serving.store.snapshot import answer_of
from serving.store.tables import Choice, Conversation, Rating, Vote


def conversation_body(conversation: Conversation) -> dict[str, Any]:
    """A conversation without its turns, as OpenAI's conversation object with more in it."""
    return {
        "id": conversation.id,
        "object": "conversation",
        "title": conversation.title,
        "created_at": int(conversation.created_at),
        "updated_at": int(conversation.updated_at),
        "metadata": {},
    }


def turn_body(turn: Turn, public_url: str, corrections: Mapping[Key, Feedback] | None = None) -> dict[str, Any]:
    """A question, its choices as chat completions have them, and what its owner thinks of them.

    ``corrections``: those of feedback.jsonl.
    """
    answer = turn.answer
    return {
        "answer_id": answer.id,
        "created": int(answer.asked_at),
        "question": answer.question,
        "model": answer.model,
        "filters": answer.filters,
        "blind": answer.blind,
        "state": state(turn),
        "error": answer.error or None,
        "usage": answer.usage,
        "route": {} if turn.hidden else answer.route,
        "choices": [choice_as_answered(choice, public_url, turn.hidden) for choice in turn.choices],
        "vote": vote_body(turn.vote) if turn.vote else None,
        "feedback": [rating_body(rating, corrections or {}) for rating in turn.ratings],
    }


def state(turn: Turn) -> str:
    """What became of a question: finished, cancelled, failed, or still under way (also after a crash)."""
    answer = turn.answer
    if answer.finished_at is None:
        return "unfinished"
    return "cancelled" if answer.cancelled else "failed" if answer.error else "finished"


def choice_as_answered(choice: Choice, public_url: str, hidden: bool = False) -> dict[str, Any]:
    """A choice as a chat completion has it; ``hidden``: without whatever tells which arm it is."""
    answer = answer_of(choice)
    shown = Answer(text_alone(answer)) if hidden else answer
    extra = blind_body(shown) if hidden else choice_body(answer, public_url)
    reason = choice.finish_reason or None
    return {"index": choice.index, "message": message(shown, public_url), "finish_reason": reason, "docduet": extra}


def text_alone(answer: Answer) -> str:
    """What a blind comparison showed of an answer: its text without markers."""
    mask, at = Mask(), 0
    events: list[Event] = []
    for citation in answer.citations:
        events += mask.of(Text(answer.text[at : citation.start])) + mask.of(Cited(citation.source, first=False))
        at = citation.end
    events += mask.of(Text(answer.text[at:])) + mask.of(Finished(""))
    return "".join(event.text for event in events if isinstance(event, Text))


def vote_body(vote: Vote) -> dict[str, Any]:
    """A vote with the arms it was between, by choice."""
    return {"winner": vote.winner, "arms": vote.arms, "comment": vote.comment, "created": int(vote.created_at)}


def rating_body(rating: Rating, corrections: Mapping[Key, Feedback]) -> dict[str, Any]:
    """A thumb, and what became of the correction; which arm it is on stands in the choice."""
    return {
        "choice": rating.choice,
        "rating": rating.rating,
        "reasons": rating.reasons,
        "comment": rating.comment,
        "should_have_said": rating.should_have_said,
        "correction": correction_body(corrections.get((rating.answer_id, rating.choice))),
        "created": int(rating.created_at),
    }


def correction_body(entry: Feedback | None) -> dict[str, Any] | None:
    """What was decided about a correction; ``use``: what its question makes of it once it is promoted."""
    if entry is None:
        return None
    pages = None if entry.pages is None else list(entry.pages)
    return {"review": entry.review, "use": use_of(entry), "pages": pages}
