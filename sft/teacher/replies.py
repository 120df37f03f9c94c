"""What a teacher sends back, checked: lists of questions and verdicts (strict JSON), and answers fit to be used.

Whatever is wrong raises TurnedDown with the gate it belongs to: ``cut-off``, ``empty``, ``unparsable``, ``leak``,
``garbled``, ``refusal``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from data.chat.calls import Reply, TurnedDown
from data.chat.plain import plain
from data.citations import CitationStream, Cite
from data.prompts import refusal_text
from data.thinking import split_thinking
from sft.duplicates import words
from sft.gates import PASSAGES

Question = Annotated[str, Field(min_length=4, max_length=1200)]

_SORRY = re.compile(
    r"^\W*(?:I(?:'|’)?m sorry|I am sorry|Sorry|I (?:cannot|can(?:'|’)?t|could not|couldn(?:'|’)?t|don(?:'|’)?t) "
    r"(?:find|answer|help|assist|provide|know|have)|As an AI|"
    r"The (?:passages?|documentation|docs|text|context) (?:does|do)(?: not|n(?:'|’)t)|"
    r"There is no (?:information|mention)|"
    r"抱歉|对不起|很抱歉|无法(?:回答|提供|确定)|"
    r"(?:文档|段落|文本|资料)中?(?:没有|未)(?:找到|提|包含|说明))",
    re.IGNORECASE,
)
LOOP_CHARS = 400
"""Longer texts that compress to under an eighth say the same over and over."""


class Asked(BaseModel):
    """One question of a list. ``line``: which of the wanted ones; ``passage``: what answers it, 0 where not told."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    line: int = 1
    passage: int = 0
    question: Question


@dataclass(frozen=True)
class Said:
    """An answer as it may be used. ``thinking`` is "" unless it was asked for."""

    text: str
    thinking: str = ""


_LIST: TypeAdapter[list[Any]] = TypeAdapter(list[Any])
_STRINGS: TypeAdapter[list[Question]] = TypeAdapter(list[Question])
_VERDICT: TypeAdapter[dict[str, Literal["yes", "no"]]] = TypeAdapter(dict[str, Literal["yes", "no"]])


def question_list(reply: Reply) -> list[Asked | str]:
    """The questions, and for each element that is none the reason. Raises TurnedDown where it is no list."""
    try:
        elements = _LIST.validate_json(plain(reply))
    except ValidationError:
        raise TurnedDown("unparsable", "the teacher sent no JSON array of questions") from None
    found: list[Asked | str] = []
    for element in elements:
        try:
            found.append(Asked.model_validate(element))
        except ValidationError as error:
            found.append(f"no question: {error.errors()[0]['msg']}")
    return found


def one_question(reply: Reply) -> str:
    """``{"question": "..."}``."""
    try:
        return Asked.model_validate_json(plain(reply)).question
    except ValidationError:
        raise TurnedDown("unparsable", 'the teacher sent no {"question": "..."}') from None


def strings(reply: Reply) -> list[str]:
    try:
        return [text.strip() for text in _STRINGS.validate_json(plain(reply))]
    except ValidationError:
        raise TurnedDown("unparsable", "the teacher sent no JSON array of questions") from None


def verdict(reply: Reply, criteria: Sequence[str]) -> None:
    """Raises TurnedDown unless every criterion, and nothing else, is there and "yes"."""
    try:
        given = _VERDICT.validate_json(plain(reply))
    except (ValidationError, TurnedDown):
        given = {}
    if set(given) != set(criteria):
        raise TurnedDown("judge", f"the judge's verdict cannot be read: {reply.text[:80]!r}")
    failed = [name for name in criteria if given[name] == "no"]
    if failed:
        raise TurnedDown("judge", f"the judge says no: {', '.join(failed)}")


def answer(reply: Reply, lang: str, thinking: bool) -> Said:
    """A whole answer, with its thinking where that was asked for; a refusal is none."""
    said = written(reply, thinking)
    if refusal_text(lang) in said.text or _SORRY.search(said.text):
        raise TurnedDown("refusal", "the teacher refused where an answer was expected")
    return said


def written(reply: Reply, thinking: bool) -> Said:
    """What was written, be it a refusal."""
    if reply.finish == "length":
        raise TurnedDown("cut-off", "stopped at the token limit")
    thought, text = split_thinking(reply.text)
    thought, text = (reply.reasoning or thought).strip(), text.strip()
    if not text:
        raise TurnedDown("empty", "the teacher said nothing" + (" after thinking" if thought else ""))
    if not thinking and split_thinking(reply.text)[0].strip():
        raise TurnedDown("leak", "thinks in the answer, though that was not asked for")
    if thinking and not thought:
        raise TurnedDown("no-thinking", "thinking was asked for, and there is none")
    for part in (text, thought):
        if loops(part):
            raise TurnedDown("garbled", "says the same over and over")
    return Said(text, thought if thinking else "")


def refused(text: str, lang: str) -> bool:
    """Whether ``text`` is the refusal and nothing beside it."""
    return refusal_text(lang) in text and len(text) <= len(refusal_text(lang)) + 12


def speaks_of_passages(text: str, page: str) -> str:
    """Words in ``text`` that only somebody with passages before him says, unless the page says them; "" for none."""
    found = PASSAGES.search(text)
    return found[0] if found and found[0].lower() not in page.lower() else ""


def cited(text: str) -> set[int]:
    """The numbers of the passages that ``text`` cites."""
    stream = CitationStream(passages=999)
    pieces = [*stream.feed(text), *stream.close()]
    return {piece.index + 1 for piece in pieces if isinstance(piece, Cite)}


def loops(text: str) -> bool:
    data = text.encode()
    return len(data) > LOOP_CHARS and len(zlib.compress(data)) * 8 < len(data)


def too_alike(question: str, others: Sequence[str]) -> bool:
    """Whether one of ``others`` has nearly the same words: no rewrite, only a copy."""
    mine = frozenset(words(question))
    return any(len(mine & theirs) > 0.8 * len(mine | theirs) for theirs in (frozenset(words(one)) for one in others))
