"""The tables. Whoever changes them adds a migration (migrations/versions) and moves ``HEAD`` in database.py.

Times are Unix seconds. ``owner`` is a principal's ``user``. What is JSON is small and never searched in.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Double, ForeignKey, Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Text, float: Double, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


class Conversation(Base):
    """``id``: conv_... ``updated_at``: when its last question came."""

    __tablename__ = "conversations"
    __table_args__ = (Index(None, "owner", "updated_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    title: Mapped[str]
    created_at: Mapped[float]
    updated_at: Mapped[float]


class Answer(Base):
    """One exchange: a question and what came of it. Its choices are rows of their own.

    ``conversation_id``: None outside any. ``history``: the messages before the question as they were sent, newest kept
    where they were too many. ``model``: the name asked for. ``route``: arms, reason, scores, and the query searched.
    ``blind``: arms and sources are not told before the vote. ``error``: code and message of what ended it.
    ``usage``: tokens of all choices and of what went before them, also where it was cut short.
    ``finished_at``: None while it is under way, and for ever after a crash.
    ``replaced_by``: the answer that was asked for in its place; its conversation does not show it any more.
    """

    __tablename__ = "answers"
    __table_args__ = (Index(None, "conversation_id", "asked_at"), Index(None, "asked_at"), Index(None, "blind"))

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    asked_at: Mapped[float]
    question: Mapped[str]
    lang: Mapped[str]
    history: Mapped[list[Any]]
    filters: Mapped[dict[str, Any]]
    model: Mapped[str]
    route: Mapped[dict[str, Any]]
    blind: Mapped[bool]
    error: Mapped[dict[str, Any]]
    cancelled: Mapped[bool]
    finished_at: Mapped[float | None]
    usage: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    replaced_by: Mapped[str | None] = mapped_column(default=None)


class Said(Base):
    """What the search looks into: of each answer that its conversation shows, question and choices in small letters.

    A table of its own, since a search that finds nothing reads all of it: of 50,000 comparisons 0.3 s instead of 1.4 s.
    """

    __tablename__ = "said"
    __table_args__ = (Index(None, "conversation_id"),)

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    question: Mapped[str]
    answered: Mapped[str] = mapped_column(default="")


class Choice(Base):
    """One arm's answer. The choices of a blind exchange are numbered as they were shown.

    ``text`` holds the markers. ``citations``: [{"start", "end", "n"}], offsets in characters, end exclusive.
    ``sources``: snapshots of what was cited (title, url, heading path, quote, hash of the page ...), which outlive it.
    ``finish_reason``: "" where it was cut off. ``checks``: whatever else the arm found out about its answer.
    """

    __tablename__ = "choices"
    __table_args__ = (Index("ix_choices_counted", "arm", "refused", "degraded", "finish_reason", "answer_id"),)

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    arm: Mapped[str]
    text: Mapped[str]
    reasoning: Mapped[str]
    refused: Mapped[bool]
    degraded: Mapped[str]
    finish_reason: Mapped[str]
    citations: Mapped[list[Any]]
    sources: Mapped[list[Any]]
    timings_ms: Mapped[dict[str, Any]]
    usage: Mapped[dict[str, Any]]
    checks: Mapped[dict[str, Any]]


class Vote(Base):
    """Who won a comparison. It outlives its answer as a bare count: then ``owner`` and ``comment`` are empty.

    ``arms``: by choice. ``winner``: "0", "1", "tie" or "both_bad". The rest is what the report looks at votes by, noted
    when the vote is cast (serving/store/facts.py): reading it out of 50,000 answers takes seconds.
    """

    __tablename__ = "votes"

    answer_id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    arms: Mapped[list[Any]]
    winner: Mapped[str]
    blind: Mapped[bool]
    comment: Mapped[str]
    created_at: Mapped[float]
    left_chars: Mapped[int] = mapped_column(default=0)
    right_chars: Mapped[int] = mapped_column(default=0)
    lang: Mapped[str] = mapped_column(default="")
    topic: Mapped[str] = mapped_column(default="")
    product: Mapped[str] = mapped_column(default="")
    in_docs: Mapped[str] = mapped_column(default="")
    favoured: Mapped[str] = mapped_column(default="")


class Rating(Base):
    """A thumb on one choice. It outlives its answer as a vote does.

    ``rating``: "up" or "down". ``reasons``: words that the client offers. ``should_have_said``: the answer as it should
    have been.
    """

    __tablename__ = "feedback"

    answer_id: Mapped[str] = mapped_column(primary_key=True)
    choice: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    arm: Mapped[str]
    rating: Mapped[str]
    reasons: Mapped[list[Any]]
    comment: Mapped[str]
    should_have_said: Mapped[str]
    created_at: Mapped[float]


class Key(Base):
    """An access key. ``hash``: sha256 (hex) of the whole key. ``limits``: what differs from the defaults."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
    limits: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class SignIn(Base):
    """Somebody who came by single sign-on. ``hash``: sha256 (hex) of the whole token. ``id_token``: of the provider, to
    sign out there too."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "expires_at"), Index(None, "owner"))

    id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str]
    owner: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float]
    id_token: Mapped[str]
