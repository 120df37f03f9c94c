"""Whether an answer to a probe is right: small deterministic checks, each a pydantic model read from probes/*.jsonl.

    {"check": "number", "value": 7}                             the number it ends on, or the one behind "answer:"
    {"check": "choice", "value": "B", "options": [...]}         the letter chosen, or the option's own words
    {"check": "says", "any": ["hammer"], "none": ["pear"]}      one of these words and none of those
    {"check": "exactly", "any": ["a;b"]}                        nothing else, but for quotes or a code fence around it
    {"check": "matches", "pattern": "..."}                      a regular expression is found
    {"check": "occurs", "text": "green", "least": 3, "most": 3} how often a word stands in it
    {"check": "count", "unit": "lines", "most": 3}              words (a Chinese character is one), sentences, ...
    {"check": "language", "value": "zh"}                        what it is written in
    {"check": "case", "value": "upper"}                         capital letters only, or small ones only
    {"check": "json", "schema": {...}}                          JSON and nothing else, valid by a JSON Schema

The kinds follow the verifiable instructions of IFEval (Zhou et al., arXiv 2311.07911); texts are our own. Pure.
"""

from __future__ import annotations

import json
import re
import unicodedata
from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from data.sentences import sentences

HAN = r"[\u3400-\u4dbf\u4e00-\u9fff]"
_DIGITS = r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_NUMBER = rf"(?<![\w.]){_DIGITS}"
_ANSWER = rf"(?:answer|result|答案|结果|####|boxed\{{)[^\d\n-]{{0,12}}({_DIGITS})"
_FENCE = re.compile(r"^```[\w-]*\n(.*?)\n?```$", re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "`": "`"}


class _Check(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def passes(self, answer: str) -> bool:
        """Whether ``answer`` is right in this respect."""


class Number(_Check):
    check: Literal["number"]
    value: float

    def passes(self, answer: str) -> bool:
        text = plain(answer).replace("−", "-")
        found = re.findall(_ANSWER, text) or re.findall(_NUMBER, re.sub(r"(?<=[\d)\w])-(?=\d)", " ", text))
        return bool(found) and float(found[-1].replace(",", "")) == self.value


class Choice(_Check):
    check: Literal["choice"]
    value: Literal["A", "B", "C", "D"]
    options: tuple[str, str, str, str]

    def passes(self, answer: str) -> bool:
        text = unicodedata.normalize("NFKC", answer).strip()
        named = re.findall(
            r"(?i:answer|option|答案|选项?)[^A-Za-z\n]{0,12}(?i:is\s)?[^A-Za-z\n]{0,4}([A-D])(?![A-Za-z])", text
        )
        letters = set(named[-1:] or re.findall(r"(?<![A-Za-z])[A-D](?![A-Za-z]|\s+[a-z])", text))
        if letters:
            return letters == {self.value}
        return bare(text) == bare(self.options["ABCD".index(self.value)])


class Says(_Check):
    check: Literal["says"]
    any: tuple[str, ...] = Field(min_length=1)
    none: tuple[str, ...] = ()

    def passes(self, answer: str) -> bool:
        return any(_times(answer, word) for word in self.any) and not any(_times(answer, word) for word in self.none)


class Exactly(_Check):
    check: Literal["exactly"]
    any: tuple[str, ...] = Field(min_length=1)

    def passes(self, answer: str) -> bool:
        given = unicodedata.normalize("NFKC", unwrapped(answer))
        return any(given == unicodedata.normalize("NFKC", wanted) for wanted in self.any)


class Matches(_Check):
    check: Literal["matches"]
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        re.compile(value)
        return value

    def passes(self, answer: str) -> bool:
        return re.search(self.pattern, answer.strip()) is not None


class Occurs(_Check):
    check: Literal["occurs"]
    text: str
    least: int = Field(1, ge=0)
    most: int | None = None

    def passes(self, answer: str) -> bool:
        return _within(_times(answer, self.text), self.least, self.most)


class Count(_Check):
    check: Literal["count"]
    unit: Literal["words", "sentences", "lines", "bullets"]
    least: int = Field(1, ge=0)
    most: int | None = None

    def passes(self, answer: str) -> bool:
        return _within(counted(answer, self.unit), self.least, self.most)


class Language(_Check):
    """``zh``: most letters are Chinese characters, a name or a term in Latin ones being allowed; ``en``: none is."""

    check: Literal["language"]
    value: Literal["en", "zh"]

    def passes(self, answer: str) -> bool:
        han, latin = len(re.findall(HAN, answer)), len(re.findall(r"[A-Za-z]+", answer))
        return latin > 0 and han == 0 if self.value == "en" else han > 0 and han >= 2 * latin


class Case(_Check):
    check: Literal["case"]
    value: Literal["upper", "lower"]

    def passes(self, answer: str) -> bool:
        return answer.isupper() if self.value == "upper" else answer.islower()


class Json(_Check):
    check: Literal["json"]
    schema_: dict[str, Any] = Field(alias="schema")

    def passes(self, answer: str) -> bool:
        from jsonschema import Draft202012Validator

        text = answer.strip()
        fenced = _FENCE.match(text)
        try:
            value = json.loads(fenced[1] if fenced else text)
        except (ValueError, RecursionError):
            return False
        return bool(Draft202012Validator(self.schema_).is_valid(value))


Check = Annotated[
    Number | Choice | Says | Exactly | Matches | Occurs | Count | Language | Case | Json, Field(discriminator="check")
]


def plain(text: str) -> str:
    """Folded for comparison: NFKC, lower case, without emphasis marks."""
    return re.sub(r"[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}", "", unicodedata.normalize("NFKC", text)).casefold()


def bare(text: str) -> str:
    """``plain``, without a lead such as "B." and without punctuation around it."""
    return re.sub(r"^\W*(?:[a-d][.):、]\s*)?|\W+$", "", plain(text))


def unwrapped(text: str) -> str:
    """``text`` without the space, code fence or pair of quotes around it."""
    found = text.strip()
    fenced = _FENCE.match(found)
    found = fenced[1].strip() if fenced else found
    if len(found) > 1 and _QUOTES.get(found[0]) == found[-1]:
        return found[1:-1].strip()
    return found


def counted(text: str, unit: str) -> int:
    """How many of a unit ``text`` has; empty lines do not count."""
    if unit == "words":
        return len(re.findall(rf"{HAN}|[^\W_]+(?:['’-][^\W_]+)*", re.sub(rf"({HAN})", r" \1 ", text)))
    if unit == "sentences":
        return sum(len(sentences(line)) for line in text.splitlines())
    lines = [line for line in text.splitlines() if line.strip()]
    return len([line for line in lines if re.match(r"\s*[-*•]\s+\S", line)]) if unit == "bullets" else len(lines)


def _times(text: str, word: str) -> int:
    """How often ``word`` stands in ``text``: a whole word, but in Chinese, which has no spaces."""
    before, after = ("", "") if re.search(HAN, word) else (r"(?<![a-z0-9])", r"(?![a-z0-9])")
    return len(re.findall(f"{before}{re.escape(plain(word))}{after}", plain(text)))


def _within(number: int, least: int, most: int | None) -> bool:
    return least <= number and (most is None or number <= most)
