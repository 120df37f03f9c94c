"""Questions that were asked before: by an earlier draft, or in training data, where they would measure memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from data.errors import ConfigError
from data.text import folded
from rag.lexical import tokenize

ALIKE = 0.7
"""Jaccard similarity of the words that tell something, stems without stop words, from which two questions are one."""


class Asked:
    """All questions so far. Only those that share a word with a new one are compared."""

    def __init__(self, questions: Iterable[str] = ()) -> None:
        self._exact: dict[str, str] = {}
        self._known: list[tuple[str, frozenset[str]]] = []
        self._by_word: dict[str, list[int]] = {}
        for question in questions:
            self.add(question)

    def add(self, question: str) -> None:
        key = folded(question)
        if key in self._exact:
            return
        self._exact[key] = question
        words = frozenset(tokenize(question))
        for word in words:
            self._by_word.setdefault(word, []).append(len(self._known))
        self._known.append((question, words))

    def twin(self, question: str) -> str:
        """A question that asks nearly the same; "" for none."""
        if exact := self._exact.get(folded(question)):
            return exact
        words = frozenset(tokenize(question))
        places = dict.fromkeys(place for word in words for place in self._by_word.get(word, ()))
        near = (known for known, other in map(self._known.__getitem__, places) if _jaccard(words, other) >= ALIKE)
        return next(near, "")


def trained_on(paths: Iterable[Path]) -> Iterator[str]:
    """The questions in these files: users' messages of a dataset of `docduet sft build`, or a set's ``question``.

    Raises ConfigError for a file that cannot be read; lines that hold neither are passed over.
    """
    for path in paths:
        try:
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    yield from _asked(line)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read, so nobody knows what was trained on: {error}") from None


def datasets(folder: Path) -> list[Path]:
    """The training files below ``folder``, as `docduet sft build` names them."""
    return sorted([*folder.rglob("train.jsonl"), *folder.rglob("val.jsonl")])


def _asked(line: str) -> Iterator[str]:
    try:
        found = json.loads(line)
    except ValueError:
        return
    if not isinstance(found, dict):
        return
    if isinstance(found.get("question"), str):
        yield found["question"]
    for message in found.get("messages") or ():
        if isinstance(message, dict) and message.get("role") == "user":
            yield str(message.get("content") or "")


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a and b else 0.0
