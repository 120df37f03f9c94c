"""Question sets: questions with the pages that answer them.

A set is a .jsonl file, one question a line; a .toml file of the same name beside it says which pages to leave out of
the index (such as a FAQ page that repeats the questions). Bundled ones lie in evals/sets/ and go by their bare name. A
file in SQuAD's format (.json) is a set as well, and brings its pages along: see squad.py. The set ``feedback`` is made
of answers that were corrected in the chat: see corrected.py.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from data.home import Home
from data.types import Page

FOLDER = Path(__file__).with_name("sets")


@dataclass(frozen=True)
class Question:
    """``pages``: urls of all pages that answer, one or more; none in sets that do not measure retrieval alone.

    ``answer_span``: words that stand in the first of them. ``facts``: what a complete answer says, a sentence each;
    empty where nobody wrote it down. ``answerable``: whether the docs hold an answer; if not, a refusal is right.
    """

    id: str
    question: str
    lang: str
    pages: tuple[str, ...]
    answer_span: str = ""
    source: str = ""
    facts: tuple[str, ...] = ()
    answerable: bool = True


@dataclass(frozen=True)
class QuestionSet:
    """``exclude``: patterns of page urls left out of the index. ``corpus``: the pages, where the set brings them."""

    name: str
    questions: tuple[Question, ...]
    exclude: tuple[str, ...] = ()
    corpus: tuple[Page, ...] = ()

    def sample(self, size: int, seed: int) -> QuestionSet:
        """``size`` questions drawn with ``seed``, in their old order; all of them where there are no more."""
        if size <= 0 or size >= len(self.questions):
            return self
        drawn = sorted(random.Random(seed).sample(range(len(self.questions)), size))
        return replace(self, questions=tuple(self.questions[i] for i in drawn))

    def findable(self) -> QuestionSet:
        """The questions that name a page: what retrieval can be measured with. Raises ConfigError for none."""
        found = tuple(question for question in self.questions if question.pages)
        if not found:
            raise ConfigError(f"no question of the set {self.name} names a page that answers it and that is synced")
        return replace(self, questions=found)


def load_set(name: str, home: Home | None = None) -> QuestionSet:
    """The set in the file ``name``, or the bundled one of that name. ``home``: where the corrections of the set
    ``feedback`` and their pages are. Raises ConfigError."""
    if name == "feedback" and home is not None:
        from evals.corrected import load_corrected

        return load_corrected(home)
    path = Path(name).expanduser()
    if not path.suffix and not path.exists():
        path = FOLDER / f"{name}.jsonl"
    if not path.is_file():
        known = ", ".join([*sorted(found.stem for found in FOLDER.glob("*.toml")), "feedback"])
        raise ConfigError(f"no question set {name!r}: give a .jsonl or SQuAD .json file, or one of: {known}")
    if path.suffix == ".json":
        from evals.squad import load_squad

        return load_squad(path)
    return QuestionSet(path.stem, tuple(_questions(path)), _excluded(path.with_suffix(".toml")))


def require_gold(questions: Sequence[Question], urls: set[str], corpus: str) -> None:
    """Raises ConfigError when a question's pages are not in the corpus: every score would be wrong."""
    for question in questions:
        missing = [url for url in question.pages if url not in urls]
        if missing:
            raise ConfigError(
                f"question {question.id} is answered by {missing[0]}, which is not among the {len(urls)} pages of "
                f"{corpus}: give the folder that the set was made for with --corpus, and check --exclude"
            )


def _questions(path: Path) -> list[Question]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    questions = [_question(line, f"{path}: question {number}") for number, line in enumerate(lines, start=1)]
    if not questions:
        raise ConfigError(f"{path} holds no questions")
    ids = [question.id for question in questions]
    twice = next((found for found in ids if ids.count(found) > 1), None)
    if twice is not None:
        raise ConfigError(f"{path}: the id {twice!r} is used twice")
    return questions


def _question(line: str, where: str) -> Question:
    """One line, checked: a set is a file that anybody may have written."""
    from pydantic import ValidationError

    try:
        found: Question = _adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}") from None
    empty = next((key for key in ("id", "question", "lang", "pages") if not getattr(found, key)), None)
    if empty:
        raise ConfigError(f"{where}: {empty} is empty")
    return found


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Question)


def _excluded(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    try:
        patterns = tomllib.loads(path.read_text(encoding="utf-8")).get("exclude", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    if not (isinstance(patterns, list) and all(isinstance(pattern, str) for pattern in patterns)):
        raise ConfigError(f"{path}: exclude must be a list of patterns such as 'en/*-questions.md'")
    return tuple(patterns)
