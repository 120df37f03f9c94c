"""Question sets: questions with the pages that answer them, and what a good answer says.

A set is a .jsonl file, one question a line; a .toml file of the same name beside it says which pages to leave out of
the index (``exclude``, such as a FAQ page that repeats the questions) and where the pages are (``corpus``, a folder
seen from the file). Bundled ones lie in evals/sets/, the handbook's beside it (data/held_out), and go by their bare
name. A file in SQuAD's format (.json) is a
set as well, and brings its pages along: see squad.py. The set ``feedback`` is made of answers that were corrected in
the chat: see corrected.py. A line:

    {"id": "q1", "lang": "en", "kind": "single", "question": "Which port is it?", "pages": ["en/engines.md"],
     "facts": [{"text": "It listens on port 7860.", "keys": [["7860"], ["port", "listens"]]}],
     "reference": "The gateway listens on port 7860."}
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from data import handbook
from data.errors import ConfigError
from data.home import Home
from data.prompts import Message
from data.types import Page

FOLDER = Path(__file__).with_name("sets")


Kind = Literal["", "single", "steps", "follow-up", "unanswerable"]


@dataclass(frozen=True)
class Fact:
    """What a complete answer says. ``keys``: of every group one alternative must stand in the answer, "re:" before one
    that is a regular expression (answers/facts.py); none where a sentence of the answer must say ``text``."""

    text: str
    keys: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Earlier:
    """A message before the question. ``role``: user or assistant."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class Question:
    """``pages``: urls of all pages that answer; none where the docs hold no answer, or where nobody has named them.

    ``answer_span``: words that stand in the first of them. ``facts``: what a complete answer says, of the kind
    ``steps`` in their order; empty where nobody wrote it down. ``answerable``: whether the docs hold an answer; if not,
    a refusal is right. ``history``: the conversation before a follow-up. ``reference``: a complete answer.
    """

    id: str
    question: str
    lang: str
    pages: tuple[str, ...] = ()
    answer_span: str = ""
    source: str = ""
    facts: tuple[
        Annotated[Fact, BeforeValidator(lambda fact: {"text": fact} if isinstance(fact, str) else fact)], ...
    ] = ()
    answerable: bool = True
    kind: Kind = ""
    topic: str = ""
    history: tuple[Earlier, ...] = ()
    reference: str = ""

    @property
    def messages(self) -> list[Message]:
        """What a voice is asked."""
        earlier = [Message(role=turn.role, content=turn.content) for turn in self.history]
        return [*earlier, Message(role="user", content=self.question)]


@dataclass(frozen=True)
class QuestionSet:
    """``exclude``: patterns of page urls left out of the index. ``corpus``: the pages, where the set brings them.

    ``folder``: where the pages are, as the set says. ``sha256``: of all its questions, whatever sample is drawn.
    """

    name: str
    questions: tuple[Question, ...]
    exclude: tuple[str, ...] = ()
    corpus: tuple[Page, ...] = ()
    folder: Path | None = None
    sha256: str = ""

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
    found = _found(name, home)
    said = json.dumps([asdict(question) for question in found.questions], ensure_ascii=False, sort_keys=True)
    return replace(found, sha256=hashlib.sha256(said.encode()).hexdigest())


def _found(name: str, home: Home | None) -> QuestionSet:
    if name == "feedback" and home is not None:
        from evals.corrected import load_corrected

        return load_corrected(home)
    path = Path(name).expanduser()
    if not path.suffix and not path.exists():
        path = bundled().get(name, path)
    if not path.is_file():
        named = sorted(name for name, path in bundled().items() if path.with_suffix(".toml").is_file())
        known = ", ".join([*named, "feedback"])
        raise ConfigError(f"no question set {name!r}: give a .jsonl or SQuAD .json file, or one of: {known}")
    if path.suffix == ".json":
        from evals.squad import load_squad

        return load_squad(path)
    exclude, folder = _beside(path.with_suffix(".toml"))
    return QuestionSet(path.stem, tuple(_questions(path)), exclude, folder=folder)


def bundled() -> dict[str, Path]:
    """Name -> file of the sets that ship."""
    return {path.stem: path for path in (*sorted(FOLDER.glob("*.jsonl")), handbook.QUESTIONS)}


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
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as UTF-8 text: {error}") from None
    found = {n: _question(line, f"{path}: line {n}") for n, line in enumerate(lines, start=1) if line.strip()}
    if not found:
        raise ConfigError(f"{path} holds no questions")
    seen: dict[str, int] = {}
    for number, question in found.items():
        first = seen.setdefault(question.id, number)
        if first != number:
            raise ConfigError(f"{path}: line {number}: the id {question.id!r} is used twice, first in line {first}")
    return list(found.values())


def _question(line: str, where: str) -> Question:
    """One line, checked: a set is a file that anybody may have written."""
    from pydantic import ValidationError

    try:
        found: Question = _adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}") from None
    if problem := _problem(found):
        raise ConfigError(f"{where}: {problem}")
    return found


def _problem(found: Question) -> str:
    """What is wrong with a question whose fields are of the right types; "" for nothing."""
    empty = next((key for key in ("id", "question", "lang") if not getattr(found, key).strip()), None)
    if empty:
        return f"{empty} is empty"
    if found.answerable and not (found.pages or found.facts or found.reference):
        return "pages is empty, and so are facts and reference: nothing says what a right answer is"
    if (found.kind == "unanswerable") == found.answerable and found.kind:
        return f"kind is {found.kind!r} and answerable is {str(found.answerable).lower()}: one of them is wrong"
    if found.kind == "follow-up" and not found.history:
        return "a follow-up needs the messages before it in history"
    if found.history and found.history[-1].role != "assistant":
        return "history ends with a question: the last earlier message must be the assistant's"
    return next((problem for fact in found.facts if (problem := _wrong_key(fact))), "")


def _wrong_key(fact: Fact) -> str:
    for group in fact.keys:
        if not all(key.strip() and key != "re:" for key in group) or not group:
            return f"a group of keys of the fact {fact.text!r} is empty"
        for key in group:
            try:
                re.compile(key.removeprefix("re:") if key.startswith("re:") else "")
            except re.error as error:
                return f"the key {key!r} is no regular expression: {error}"
    return ""


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Question)


def _beside(path: Path) -> tuple[tuple[str, ...], Path | None]:
    """What the .toml file says: patterns of pages to leave out, and the folder of the pages, seen from the file."""
    if not path.is_file():
        return (), None
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    patterns, corpus = said.get("exclude", []), said.get("corpus", "")
    if not (isinstance(patterns, list) and all(isinstance(pattern, str) for pattern in patterns)):
        raise ConfigError(f"{path}: exclude must be a list of patterns such as 'en/*-questions.md'")
    if not isinstance(corpus, str):
        raise ConfigError(f"{path}: corpus must be the path of a folder, seen from this file")
    return tuple(patterns), (path.parent / corpus).resolve() if corpus else None
