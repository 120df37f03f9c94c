"""Corrected answers: which of them stand, what an administrator said, and what each is used for.

A correction is either trained on or asked in an evaluation, never both, and its question decides which: one in
``EVAL_IN`` is an evaluation question, by hash. So nobody can choose, the same question lies on the same side whoever
corrects it, and what was trained on last month does not become a test next month. Follow-up questions are for training
only, since an evaluation question must be understood by itself.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from data.errors import CorrectionNotFoundError
from data.feedback import Feedback, Review, amend_feedback, read_feedback

Use = Literal["sft", "eval"]
Key = tuple[str, int]
"""(answer_id, choice)."""

EVAL_IN = 3


def key_of(entry: Feedback) -> Key:
    return entry.answer_id, entry.choice


def load(path: Path) -> list[Feedback]:
    """The corrections that stand; none where there is no file. Raises ConfigError."""
    return standing(read_feedback(path)) if path.exists() else []


def standing(entries: Iterable[Feedback]) -> list[Feedback]:
    """The last line of each answer, without what was taken back and what corrects nothing, in the order of the lines.

    Lines without an ``answer_id``, written by hand, stand for themselves.
    """
    last: dict[tuple[str, int], Feedback] = {}
    for at, entry in enumerate(entries):
        key = key_of(entry) if entry.answer_id else (f"line {at}", 0)
        last.pop(key, None)
        last[key] = entry
    return [entry for entry in last.values() if entry.correction.strip() and not entry.withdrawn]


def use_of(entry: Feedback) -> Use:
    """What a correction is for. Those that did not come from the chat (no ``answer_id``) are for training."""
    if entry.history or not entry.answer_id:
        return "sft"
    digest = hashlib.sha256(folded(entry.question).encode()).digest()
    return "eval" if int.from_bytes(digest[:8], "big") % EVAL_IN == 0 else "sft"


def promoted(entries: Iterable[Feedback], use: Use) -> list[Feedback]:
    """Of corrections that stand, those to be used for ``use``."""
    return newest(entry for entry in entries if entry.review == "promoted" and use_of(entry) == use)


def newest(entries: Iterable[Feedback]) -> list[Feedback]:
    """One correction a question (and what was said before it): two that differ would teach both."""
    last: dict[tuple[str, ...], Feedback] = {}
    for entry in entries:
        last[folded(entry.question), *(folded(turn.content) for turn in entry.history)] = entry
    return list(last.values())


def folded(text: str) -> str:
    """Letters and digits only: questions that differ in case, space and marks are the same."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).lower() if char.isalnum())


def correct(path: Path, said: Feedback, trusted: bool) -> Feedback | None:
    """Write down a correction in place of an earlier one of the same answer; what stands then, None for nothing.

    ``said`` without a correction takes the earlier back. An edit by somebody who is not ``trusted`` must be reviewed
    again. Raises OSError, ConfigError.
    """

    result: Feedback | None = None

    def change(entries: list[Feedback]) -> Feedback | None:
        nonlocal result
        old = _find(entries, key_of(said))
        result = said if said.correction.strip() else None
        if result is None:
            return _tombstone(old) if old else None
        if old is None:
            return result
        if (old.correction, old.comment, old.pages) == (said.correction, said.comment, said.pages):
            result = old
            return None
        result = said.model_copy(update={"review": _after_edit(old.review, trusted)})
        return result

    amend_feedback(path, change)
    return result


def take_back(path: Path, key: Key) -> None:
    """The correction of this answer stands no more. Raises OSError, ConfigError."""

    def change(entries: list[Feedback]) -> Feedback | None:
        old = _find(entries, key)
        return _tombstone(old) if old else None

    if path.exists():
        amend_feedback(path, change)


def review(path: Path, key: Key, decide: Callable[[Feedback], Review]) -> Feedback:
    """Write down what ``decide`` says of the correction of this answer. Raises CorrectionNotFoundError, OSError,
    ConfigError."""
    result: Feedback | None = None

    def change(entries: list[Feedback]) -> Feedback | None:
        nonlocal result
        old = _find(entries, key)
        if old is None:
            raise CorrectionNotFoundError(f"the answer {key[0]!r} has no correction")
        result = old.model_copy(update={"review": decide(old)})
        return result if result != old else None

    amend_feedback(path, change)
    assert result is not None
    return result


def proposal(entry: Feedback, by_admin: bool) -> Review:
    """What becomes of a correction when whoever wrote it wants it used: an administrator's needs nobody else's word."""
    if by_admin:
        return "promoted"
    return "proposed" if entry.review == "kept" else entry.review


def counts(entries: Iterable[Feedback]) -> dict[str, int]:
    """How many there are in each state of review."""
    found = Counter(entry.review for entry in entries)
    return {name: found[name] for name in ("kept", "proposed", "promoted", "rejected")}


def _after_edit(before: Review, trusted: bool) -> Review:
    if before == "promoted":
        return "promoted" if trusted else "proposed"
    return "kept" if before == "rejected" else before


def _find(entries: Iterable[Feedback], key: Key) -> Feedback | None:
    return next((entry for entry in standing(entries) if key_of(entry) == key), None)


def _tombstone(old: Feedback) -> Feedback:
    """Says that a correction is gone, in no words but the question's."""
    return Feedback(question=old.question, answer="", answer_id=old.answer_id, choice=old.choice, withdrawn=True)
