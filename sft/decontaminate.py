"""Keep evaluation questions out of the training data: what was trained on cannot be measured any more.

A sample is contaminated when one of its questions is an evaluation question (case, space and marks aside), or shares 13
words in a row with one (Brown et al. 2020, appendix C; Chinese characters count as words). Files are JSON lines with a
``question``, plain lines otherwise: evals' sets, or whatever else will be measured with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from data.errors import ConfigError
from sft.duplicates import normalised, words
from sft.types import Sample

NGRAM = 13


class Decontamination:
    """Turns down samples that ask what an evaluation asks."""

    name = "evaluation-overlap"

    def __init__(self, questions: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}
        self._grams: dict[tuple[str, ...], str] = {}
        for question in questions:
            self._exact.setdefault(normalised(question), question)
            for gram in ngrams(question):
                self._grams.setdefault(gram, question)

    def check(self, sample: Sample) -> str:
        for asked in sample.questions:
            hit = self._exact.get(normalised(asked))
            hit = hit or next((self._grams[gram] for gram in ngrams(asked) if gram in self._grams), None)
            if hit:
                return f"asks the evaluation question {hit[:80]!r}"
        return ""


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
