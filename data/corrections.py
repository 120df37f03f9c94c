"""Corrected answers: which of them stand, what an administrator said, and what each is used for.

A correction is either trained on or asked in an evaluation, never both, and its question decides which: one in
``EVAL_IN`` is an evaluation question, by hash. So nobody can choose, the same question lies on the same side whoever
corrects it, and what was trained on last month does not become a test next month. Follow-up questions are for training
only, since an evaluation question must be understood by itself; whatever stands in one is no evaluation question later.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

from data.errors import CorrectionNotFoundError
from data.feedback import Feedback, Review, amend_feedback, read_feedback
from data.text import folded

Use = Literal["sft", "eval"]
Key = tuple[str, int]
"""(answer_id, choice)."""

EVAL_IN = 3


def key_of(entry: Feedback) -> Key:
    return entry.answer_id, entry.choice


def version_of(entry: Feedback) -> str:
    """Another one for other words: who decides about a correction says with it which words were read."""
    pages = None if entry.pages is None else list(entry.pages)
    said = json.dumps([entry.correction, entry.comment, pages])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def load(path: Path) -> list[Feedback]:
    """The corrections that stand; none where there is no file. Raises ConfigError, OSError."""
    if not path.exists():
        return []
    state = path.stat()
    return list(_loaded(path, state.st_mtime_ns, state.st_size))


@lru_cache(2)
def _loaded(path: Path, _changed_ns: int, _size: int) -> tuple[Feedback, ...]:
    return tuple(standing(read_feedback(path)))


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


def questions(entries: Iterable[Feedback]) -> list[Feedback]:
    """Of corrections that stand, the evaluation questions: promoted, and asked in no earlier one to train on, as a
    follow-up or before it."""
    taught: set[str] = set()
    found = []
    for entry in entries:
        if use_of(entry) == "sft":
            turns = (turn.content for turn in entry.history if turn.role == "user")
            taught |= {folded(entry.question), *map(folded, turns)}
        elif entry.review == "promoted" and folded(entry.question) not in taught:
            found.append(entry)
    return newest(found)


def held_out(entries: Iterable[Feedback]) -> list[str]:
    """Questions that nothing may be trained on: those that are for evaluation, promoted or not yet."""
    return [entry.question for entry in entries if entry.review != "rejected" and use_of(entry) == "eval"]


def newest(entries: Iterable[Feedback]) -> list[Feedback]:
    """One correction a question (and what was said before it): two that differ would teach both."""
    last: dict[tuple[str, ...], Feedback] = {}
    for entry in entries:
        last[folded(entry.question), *(folded(turn.content) for turn in entry.history)] = entry
    return list(last.values())


def correct(path: Path, said: Feedback, trusted: bool) -> Feedback | None:
    """Write down a correction in place of an earlier one of the same answer; what stands then, None for nothing.

    ``said`` without a correction takes the earlier back. An edit by somebody who is not ``trusted`` must be reviewed
    again. Raises OSError, ConfigError.
    """
    result: Feedback | None = None

    def change(entries: list[Feedback]) -> list[Feedback]:
        nonlocal result
        old = _by_key(entries).get(key_of(said))
        result = _revised(old, said, trusted)
        if result is None:
            return [_tombstone(old)] if old else []
        return [] if result is old else [result]

    amend_feedback(path, change)
    return result


def take_back(path: Path, key: Key) -> None:
    """The correction of this answer stands no more. Raises OSError, ConfigError."""

    def change(entries: list[Feedback]) -> list[Feedback]:
        old = _by_key(entries).get(key)
        return [_tombstone(old)] if old else []

    if path.exists():
        amend_feedback(path, change)


def review(path: Path, keys: Iterable[Key], decide: Callable[[Feedback], Review]) -> list[Feedback]:
    """Write down what ``decide`` says of the corrections of these answers: all or none of them.

    Raises CorrectionNotFoundError, OSError, ConfigError.
    """
    result: list[Feedback] = []

    def change(entries: list[Feedback]) -> list[Feedback]:
        known = _by_key(entries)
        for key in keys:
            if key not in known:
                raise CorrectionNotFoundError(f"the answer {key[0]!r} has no correction")
            result.append(known[key].model_copy(update={"review": decide(known[key])}))
        return [entry for entry in result if entry != known[key_of(entry)]]

    amend_feedback(path, change)
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


def _revised(old: Feedback | None, said: Feedback, trusted: bool) -> Feedback | None:
    """What stands once ``said`` was said; ``old`` itself where nothing is new."""
    if not said.correction.strip():
        return None
    if old is None:
        return said
    if (old.correction, old.comment, old.pages) == (said.correction, said.comment, said.pages):
        return old
    review: Review = "kept" if old.review == "rejected" else old.review
    if review == "promoted" and not trusted:
        review = "proposed"
    return said.model_copy(update={"review": review})


def _by_key(entries: Iterable[Feedback]) -> dict[Key, Feedback]:
    return {key_of(entry): entry for entry in standing(entries) if entry.answer_id}


def _tombstone(old: Feedback) -> Feedback:
    """Says that a correction is gone, in no words but the question's."""
    return Feedback(question=old.question, answer="", answer_id=old.answer_id, choice=old.choice, withdrawn=True)
