"""What a teacher sends back, read strictly. Whatever is wrong raises TurnedDown."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.chat.calls import Reply, TurnedDown
from data.chat.plain import plain
from evals.questions import Kind

Text = Annotated[str, Field(min_length=2, max_length=4000)]
_YES_NO = re.compile(r"\W*(yes|no|是|否)(?![a-z])", re.IGNORECASE)


class DraftFact(BaseModel):
    """A fact as the teacher wrote it."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    text: Text
    keys: list[list[str]] = []


class Draft(BaseModel):
    """A question as the teacher wrote it. ``first``, ``answer``: the conversation before a follow-up."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    question: Annotated[str, Field(min_length=4, max_length=1200)]
    facts: list[DraftFact] = []
    reference: str = ""
    first: str = ""
    answer: str = ""


def draft(reply: Reply, kind: Kind) -> Draft:
    """A draft with all that its kind needs."""
    try:
        found = Draft.model_validate_json(plain(reply))
    except ValidationError as error:
        raise TurnedDown("unparsable", f"no draft: {error.errors()[0]['msg']}") from None
    if kind != "unanswerable" and not (found.facts and found.reference):
        raise TurnedDown("unparsable", "a draft without facts or reference")
    if kind == "follow-up" and not (found.first and found.answer):
        raise TurnedDown("unparsable", "a follow-up without the conversation before it")
    return found


def yes(reply: Reply) -> bool:
    """Whether the teacher says that passages hold an answer."""
    found = _YES_NO.match(plain(reply))
    if not found:
        raise TurnedDown("unparsable", f"neither yes nor no: {reply.text[:60]!r}")
    return found[1].lower() in ("yes", "是")
