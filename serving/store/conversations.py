"""Conversations in the database: found, read, renamed, deleted; always one owner's.

Functions of a session (``Store.run``). What is somebody else's is not there: the same error, in the same words.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, literal, or_, select, tuple_, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, aliased

from serving.errors import ApiError
from serving.store.database import limited, was_late
from serving.store.snapshot import clean
from serving.store.tables import Answer, Choice, Conversation, Rating, Said, Vote

TITLE_CHARS = 80
SEARCH_S = 5.0
"""A search gives up after so many seconds: one thread of the store's few is enough."""


@dataclass(frozen=True)
class Turn:
    """A question with its choices, and what its owner thinks of them."""

    answer: Answer
    choices: list[Choice]
    vote: Vote | None = None
    ratings: list[Rating] = field(default_factory=list)

    @property
    def hidden(self) -> bool:
        """Whether which arm said what is not told yet: until a blind vote, where there is something to vote on."""
        return self.answer.blind and self.vote is None and self.votable

    @property
    def votable(self) -> bool:
        """Whether two whole answers stand side by side; before the end, it counts as if they would."""
        whole = all(choice.finish_reason not in ("", "error") for choice in self.choices)
        return self.answer.finished_at is None or (len(self.choices) == 2 and whole)


def new(id: str, owner: str, title: str, created_at: float | None = None) -> Conversation:
    """A conversation, not stored yet."""
    now = time.time() if created_at is None else created_at
    return Conversation(id=id, owner=owner, title=clean(title), created_at=now, updated_at=now)


def title_of(question: str) -> str:
    """The beginning of a question, in one line."""
    line = " ".join(question.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"


def one(db: Session, owner: str, id: str) -> Conversation:
    """Conversation ``id`` of ``owner``; ApiError 404."""
    found = db.get(Conversation, clean(id))
    if found is None or found.owner != owner:
        raise not_found(id)
    return found


def not_found(id: str) -> ApiError:
    """What is said of a conversation that there is not, and of somebody else's."""
    return ApiError(f"there is no conversation {id!r}", 404, "conversation_not_found", "conversation")


def listed(
    db: Session, owner: str, limit: int, query: str = "", after: tuple[float, str] | None = None
) -> list[Conversation]:
    """The newest ``limit`` conversations, those with ``query`` in title, question or answer (case does not matter).

    ``after``: (updated_at, id) of the last one seen. ApiError 503 where the search takes too long.
    """
    wanted = select(Conversation).where(Conversation.owner == owner)
    if query.strip():
        wanted = wanted.where(_mentions(clean(query.strip()), db.get_bind().dialect.name))
    if after:
        wanted = wanted.where(
            tuple_(Conversation.updated_at, Conversation.id) < tuple_(literal(after[0]), literal(after[1]))
        )
    wanted = wanted.order_by(Conversation.updated_at.desc(), Conversation.id.desc()).limit(limit)
    try:
        with limited(db, SEARCH_S):
            return list(db.scalars(wanted))
    except OperationalError as error:
        if not was_late(error):
            raise
        message = f"the search took longer than {SEARCH_S:g} s: try again in a moment, or other words"
        raise ApiError(message, 503, "search_too_long", "q") from None


def turns(db: Session, owner: str, id: str) -> tuple[Conversation, list[Turn]]:
    """A conversation with all its turns, oldest first."""
    found = one(db, owner, id)
    answers = select(Answer).where(Answer.conversation_id == found.id, Answer.replaced_by.is_(None))
    return found, _with_choices(db, list(db.scalars(answers.order_by(Answer.asked_at, Answer.id))))


def turn(db: Session, owner: str, answer_id: str, lock: bool = False) -> Turn:
    """One answer of ``owner``, in a conversation or not; ApiError 404. ``lock``: until the transaction's end."""
    wanted = select(Answer).where(Answer.id == clean(answer_id))
    found = db.scalar(wanted.with_for_update() if lock else wanted)
    if found is None or found.owner != owner:
        raise ApiError(f"there is no answer {answer_id!r}", 404, "answer_not_found", "answer_id")
    return _with_choices(db, [found])[0]


def check(db: Session, owner: str, id: str, replaces: str = "") -> None:
    """ApiError 404 unless ``owner`` has conversation ``id`` and, where one is named, the answer ``replaces`` in it."""
    one(db, owner, id)
    if replaces:
        found = db.get(Answer, clean(replaces))
        if found is None or found.conversation_id != id:
            message = f"there is no answer {replaces!r} in this conversation"
            raise ApiError(message, 404, "answer_not_found", "docduet.replace")


def replace(db: Session, conversation: Conversation, old_id: str, new: Answer) -> None:
    """Let ``new`` take the place of an answer and of all that followed it; a title made of its question goes as well.

    What was replaced is kept: its votes and corrections still count.
    """
    old = db.get(Answer, clean(old_id))
    if old is None or old.conversation_id != conversation.id:
        return
    following = (Answer.conversation_id == conversation.id, Answer.asked_at >= old.asked_at, Answer.id != new.id)
    gone = select(Answer.id).where(*following)
    db.execute(delete(Said).where(Said.answer_id.in_(gone)))  # the search does not look there any more
    db.execute(update(Answer).where(*following, Answer.replaced_by.is_(None)).values(replaced_by=new.id))
    if conversation.title == title_of(old.question):
        conversation.title = title_of(new.question)


def rename(db: Session, owner: str, id: str, title: str) -> Conversation:
    """Give it another title."""
    found = one(db, owner, id)
    found.title = clean(title)
    return found


def remove(db: Session, owner: str, id: str) -> None:
    """Delete a conversation with all that was said in it."""
    found = one(db, owner, id)
    _forget(db, Answer.conversation_id == found.id)
    db.execute(delete(Conversation).where(Conversation.id == found.id))


def remove_all(db: Session, owner: str) -> int:
    """Delete all that ``owner`` has asked, in conversations or not; how many conversations there were."""
    _forget(db, Answer.owner == owner)
    return _count(db.execute(delete(Conversation).where(Conversation.owner == owner)))


def purge(db: Session, before: float, most: int) -> int:
    """Delete conversations without a question since ``before``, and older answers outside any, at most so many of
    each; how many there were of both."""
    old = list(db.scalars(select(Conversation.id).where(Conversation.updated_at < before).limit(most)))
    alone = select(Answer.id).where(Answer.conversation_id.is_(None), Answer.asked_at < before).limit(most)
    single = list(db.scalars(alone))
    _forget(db, or_(Answer.id.in_(single), Answer.conversation_id.in_(old)))
    db.execute(delete(Conversation).where(Conversation.id.in_(old), Conversation.updated_at < before))
    return len(old) + len(single)


def secret() -> ColumnElement[bool]:
    """Whether an answer's arms are not told yet, as ``Turn.hidden``."""
    failed = aliased(Choice)
    voted = exists().where(Vote.answer_id == Answer.id)
    broken = exists().where(failed.answer_id == Answer.id, failed.finish_reason.in_(("", "error")))
    return Answer.blind & ~voted & ~broken


def untold(db: Session, answer_ids: Sequence[str]) -> dict[tuple[str, int], Choice]:
    """Of these answers, the choices whose arms are not told yet."""
    wanted = select(Choice).join(Answer, Answer.id == Choice.answer_id)
    found = db.scalars(wanted.where(Answer.id.in_(clean(answer_ids)), secret()))
    return {(choice.answer_id, choice.index): choice for choice in found}


def _forget(db: Session, which: ColumnElement[bool]) -> int:
    """Delete answers; votes and thumbs stay as counts, without owner and words."""
    ids = select(Answer.id).where(which)
    nobody: dict[str, Any] = {"owner": "", "comment": ""}
    silent: dict[str, Any] = {"reasons": [], "should_have_said": ""}
    db.execute(update(Vote).where(Vote.answer_id.in_(ids)).values(nobody))
    db.execute(update(Rating).where(Rating.answer_id.in_(ids)).values(nobody | silent))
    return _count(db.execute(delete(Answer).where(which)))


def _count(result: Any) -> int:
    return int(result.rowcount)


def _mentions(query: str, dialect: str) -> ColumnElement[bool]:
    told = ~exists().where(Answer.id == Said.answer_id, secret())
    asked, answered = (_holds(column, query.lower(), dialect) for column in (Said.question, Said.answered))
    return or_(
        Conversation.title.icontains(query, autoescape=True),
        exists().where(Said.conversation_id == Conversation.id, or_(asked, answered & told)),
    )


def _holds(column: Any, words: str, dialect: str) -> ColumnElement[bool]:
    """LIKE takes PostgreSQL twice as long as strpos."""
    if dialect == "postgresql":
        return func.strpos(column, words) > 0
    found: ColumnElement[bool] = column.contains(words, autoescape=True)
    return found


def _with_choices(db: Session, answers: list[Answer]) -> list[Turn]:
    ids = [answer.id for answer in answers]
    choices: dict[str, list[Choice]] = {id: [] for id in ids}
    for choice in db.scalars(select(Choice).where(Choice.answer_id.in_(ids)).order_by(Choice.index)):
        choices[choice.answer_id].append(choice)
    votes = {vote.answer_id: vote for vote in db.scalars(select(Vote).where(Vote.answer_id.in_(ids)))}
    ratings: dict[str, list[Rating]] = {id: [] for id in ids}
    for rating in db.scalars(select(Rating).where(Rating.answer_id.in_(ids)).order_by(Rating.choice)):
        ratings[rating.answer_id].append(rating)
    return [Turn(answer, choices[answer.id], votes.get(answer.id), ratings[answer.id]) for answer in answers]
