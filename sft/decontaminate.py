"""Keep evaluation questions out of the training data: what was trained on cannot be measured any more.

A sample is contaminated when one of its questions is an evaluation question (case, space and marks aside), nearly is
one (85 % of their words are the same, and all names), or shares 13 words in a row with one (Brown et al. 2020, appendix
C; Chinese characters count as words). Files are JSON lines with a ``question``, plain lines otherwise: evals' sets, or
whatever else will be measured with.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from data.errors import ConfigError
from data.text import folded
from sft.duplicates import ALIKE, jaccard, words
from sft.types import Sample

NGRAM = 13


class Decontamination:
    """Turns down samples that ask what an evaluation asks."""

    name = "evaluation-overlap"

    def __init__(self, questions: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}
        self._grams: dict[tuple[str, ...], str] = {}
        self._near = NearQuestions(questions := list(questions))
        for question in questions:
            self._exact.setdefault(folded(question), question)
            for gram in ngrams(question):
                self._grams.setdefault(gram, question)

    def check(self, sample: Sample) -> str:
        for asked in sample.questions:
            hit = self._exact.get(folded(asked))
            hit = hit or next((self._grams[gram] for gram in ngrams(asked) if gram in self._grams), None)
            hit = hit or self._near.of(asked)
            if hit:
                return f"asks the evaluation question {hit[:80]!r}"
        return ""


class NearQuestions:
    """Finds the question that another one nearly is: Jaccard similarity of their words from ``ALIKE``, the same names.

    Two sets that alike have one of their rarest words in common: only questions that do are compared (prefix filter:
    Bayardo et al. 2007, "Scaling Up All Pairs Similarity Search").
    """

    def __init__(self, questions: Iterable[str]) -> None:
        known = [(question, frozenset(words(question))) for question in questions]
        self._often = Counter(word for _, found in known for word in found)
        self._by_word: dict[str, list[tuple[str, frozenset[str]]]] = {}
        for question, found in known:
            for word in self._rarest(found):
                self._by_word.setdefault(word, []).append((question, found))

    def of(self, question: str) -> str:
        """The first such question; "" for none."""
        asked = frozenset(words(question))
        pairs = (pair for word in self._rarest(asked) for pair in self._by_word.get(word, ()))
        near = (one for one, found in pairs if jaccard(asked, found) >= ALIKE and _names(asked) == _names(found))
        return next(near, "")

    def _rarest(self, found: frozenset[str]) -> list[str]:
        ordered = sorted(found, key=lambda word: (self._often[word], word))
        return ordered[: len(ordered) - math.ceil(ALIKE * len(ordered)) + 1]


def _names(found: frozenset[str]) -> frozenset[str]:
    """What a question is about by name: words with a digit or an underscore, and Latin ones in a Chinese question."""
    chinese = any("\u3400" <= word <= "\u9fff" for word in found)
    return frozenset(word for word in found if re.search(r"[\d_]", word) or (chinese and word.isascii()))


def ngrams(text: str) -> list[tuple[str, ...]]:
    """All runs of 13 words; none for shorter texts, which only match as a whole."""
    tokens = words(text)
    return [tuple(tokens[at : at + NGRAM]) for at in range(len(tokens) - NGRAM + 1)]


def read_questions(path: Path) -> list[str]:
    """The questions of a set. Raises ConfigError for a file that holds none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the evaluation set {path} cannot be read: {error}") from None
    found = [_question(line, path, number) for number, line in enumerate(lines, start=1) if line]
    if not found:
        raise ConfigError(f"{path} holds no questions: give a .jsonl file with a question on each line")
    return found


def _question(line: str, path: Path, number: int) -> str:
    if not line.startswith("{"):
        return line
    try:
        question = json.loads(line).get("question")
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: line {number} is not JSON ({error})") from None
    if not isinstance(question, str) or not question.strip():
        raise ConfigError(f'{path}: line {number} has no "question"')
    return question
