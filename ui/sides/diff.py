"""What only one of two answers says, sentence by sentence, in English and Chinese. Pure.

    only("It reads PDF. It is 7860.", "It is 8080.") -> ({"It reads PDF.", "It is 7860."}, {"It is 8080."})

A sentence is said by the other answer too when most of its words stand in one of the other's sentences, or in two that
follow each other, and every number and negation as well: 7860 is not 8080, and "does not read" is not "reads". This
compares words, not meanings: a paraphrase in other words counts as said by one only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ui.markdown import sentences

ENOUGH = 0.6  # share of a sentence's words that the other answer must hold
LONG = 5  # words of a sentence that may stand in two of the other answer
MOST = 200  # sentences of an answer; longer ones are not compared, so that no answer can hold the server up
MOST_CHARS = 20_000  # of an answer, for the same reason

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN}]+|[^\W{_HAN}_]+(?:[.:/_-][^\W{_HAN}_]+)*")
_MARKER = re.compile(r"\[\d{1,3}\]")
_LINK = re.compile(r"\]\([^)\s]{0,2000}\)")
_SMALL = """a an the this that these those it its is are was be been being has have had do does did will would can could
    may of to in on at by for from with as and or if then than so you your we our they there which when also just"""
_SMALL_HAN = frozenset("的了是在和也就都而及与着会将把被这那个可以请您你")
_NOT = "no not never none without cannot can't don't doesn't isn't aren't won't didn't"
_LITTLE, _DENYING = frozenset(_SMALL.split()), frozenset(_NOT.split())
_NOT_HAN = re.compile("[没無勿]|不(?![仅但断])|无(?![线论])|未(?!来)|非(?!常)")


@dataclass(frozen=True)
class _Said:
    """A sentence as it is compared: its words, the numbers among them, and whether it denies something."""

    words: frozenset[str]
    numbers: frozenset[str]
    denies: bool


@lru_cache(maxsize=512)
def only(left: str, right: str) -> tuple[frozenset[str], frozenset[str]]:
    """The sentences of ``left`` that ``right`` does not say, and those of ``right`` that ``left`` does not say.

    Sentences are as ui.markdown.sentences cuts them. Answers of more than ``MOST`` sentences or ``MOST_CHARS``
    characters are not compared.
    """
    if max(len(left), len(right)) > MOST_CHARS:
        return frozenset(), frozenset()
    a, b = sentences(left), sentences(right)
    if max(len(a), len(b)) > MOST:
        return frozenset(), frozenset()
    return _missing(a, b), _missing(b, a)


def _missing(said: Sequence[str], other: Sequence[str]) -> frozenset[str]:
    single = [_read(sentence) for sentence in other]
    double = [_joined(one, two) for one, two in pairwise(single)]
    return frozenset(s for s in said if (read := _read(s)).words and not _found(read, single, double))


def _found(said: _Said, single: Sequence[_Said], double: Sequence[_Said]) -> bool:
    """Two sentences hold the words of a short one too easily: those are looked for in one."""
    places = (*single, *double) if len(said.words) >= LONG else single
    return any(_holds(place, said) for place in places)


def _holds(place: _Said, said: _Said) -> bool:
    """Whether ``place`` says what ``said`` says."""
    if not said.numbers <= place.numbers or said.denies != place.denies:
        return False
    return len(said.words & place.words) >= ENOUGH * len(said.words)


def _joined(one: _Said, two: _Said) -> _Said:
    return _Said(one.words | two.words, one.numbers | two.numbers, one.denies or two.denies)


def _read(sentence: str) -> _Said:
    plain = _LINK.sub("]", _MARKER.sub("", sentence)).casefold().replace("’", "'")
    words: set[str] = set()
    for word in _WORD.findall(plain):
        words |= _han(word) if re.match(f"[{_HAN}]", word) else _stem(word)
    english = re.findall(r"[a-z']+", plain)
    denies = bool(_NOT_HAN.search(plain)) or any(word in _DENYING or word.endswith("n't") for word in english)
    return _Said(frozenset(words), frozenset(word for word in words if re.search(r"\d", word)), denies)


def _stem(word: str) -> set[str]:
    """The word without its ending, as a set; nothing of a small word: reads, read -> read; listening -> listen."""
    if word in _LITTLE or word in _DENYING:
        return set()
    if not word.isalpha() or not word.isascii():
        return {word}
    return {re.sub(r"(?<=\w{3})(?:ing|ed|es|s|e)$", "", word)}


def _han(run: str) -> set[str]:
    """Chinese has no spaces: its characters, and pairs of them for their order."""
    kept = [character for character in run if character not in _SMALL_HAN]
    return {*kept, *(one + two for one, two in pairwise(kept))}
