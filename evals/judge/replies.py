"""What a judge sends back, read strictly: whatever is not just what was asked for raises TurnedDown, never a guess."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from data.chat.calls import Reply, TurnedDown
from data.chat.plain import plain

YesNo = Literal["yes", "no"]
UNPARSABLE = ("unparsable", "cut-off", "empty")
"""Gates of verdicts that cannot be read; others are calls that failed."""


class Single(BaseModel):
    """By sentence of an answer, and by fact."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sentences: list[YesNo]
    facts: list[YesNo]


class Pair(BaseModel):
    """Of two answers as they were shown."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = ""
    winner: Literal["A", "B", "tie"]


def single(reply: Reply, sentences: int, facts: int) -> Single:
    """A verdict on so many sentences and facts."""
    try:
        found = Single.model_validate_json(plain(reply))
    except ValidationError:
        found = None
    if found is None or (len(found.sentences), len(found.facts)) != (sentences, facts):
        raise TurnedDown("unparsable", f"the verdict cannot be read: {reply.text[:80]!r}")
    return found


def pair(reply: Reply) -> Pair:
    """A verdict on two answers."""
    try:
        return Pair.model_validate_json(plain(reply))
    except ValidationError:
        raise TurnedDown("unparsable", f"the verdict cannot be read: {reply.text[:80]!r}") from None
