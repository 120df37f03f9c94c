"""Samples that say the same thing twice: exactly, nearly (MinHash over word triples, by datasketch), or in other words.

A fact asked about in two ways on purpose is no duplicate: two samples are near duplicates only when the whole
conversations are alike *and* so are the questions. The first one stays.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from data.text import folded
from sft.types import Reject, Sample

if TYPE_CHECKING:
    from rag.embed import Embedder

PERMUTATIONS = 64
ALIKE = 0.85
"""Jaccard similarity (estimated) of two conversations' word triples from which they may be duplicates."""

QUESTIONS_ALIKE = 0.6
"""Jaccard similarity of the questions' words from which they are."""

EMBEDDINGS_ALIKE = 0.97
BATCH = 2048

_WORD = re.compile(r"[^\W\u3400-\u9fff]+|[\u3400-\u9fff]")


def words(text: str) -> list[str]:
    """Latin words and single Chinese characters."""
    return _WORD.findall(text.lower())


class ExactDuplicates:
    """Turns down what was asked and answered before in the same words, case and marks aside."""

    name = "exact-duplicate"

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def check(self, sample: Sample) -> str:
        said = "\n".join([sample.shape, *(folded(text) for pair in _turns(sample) for text in pair)])
        key = hashlib.blake2b(said.encode(), digest_size=12).hexdigest()
        if key in self._seen:
            return f"says the same as sample {self._seen[key]}"
        self._seen[key] = sample.id
        return ""


class NearDuplicates:
    """Turns down what is nearly an earlier sample. Works on batches: `MinHash.generator` shares its permutations.

    64 permutations in 8 bands of 8: pairs with a similarity of 0.85 are candidates with probability 0.93, of 0.7 with
    0.37 and of 0.5 with 0.03; candidates are then compared.
    """

    name = "near-duplicate"

    def __init__(self, alike: float = ALIKE, questions_alike: float = QUESTIONS_ALIKE) -> None:
        from datasketch import MinHashLSH

        self._alike = alike
        self._questions_alike = questions_alike
        self._index: Any = MinHashLSH(num_perm=PERMUTATIONS, params=(8, 8))
        self._kept: list[tuple[str, str, Any, bool]] = []

    def sift(self, samples: Iterable[Sample]) -> Iterator[Sample | Reject]:
        """Each sample, or its rejection, in order."""
        for batch in batched(samples, BATCH):
            for sample, sketch in zip(batch, self._sketches(batch), strict=True):
                twin = self._twin(sample, sketch)
                if twin:
                    yield Reject(sample, self.name, f"nearly the same as sample {twin}")
                    continue
                self._index.insert(len(self._kept), sketch, check_duplication=False)
                self._kept.append((sample.id, _asked(sample), sketch, sample.shape == "raft"))
                yield sample

    def _sketches(self, batch: Sequence[Sample]) -> Iterator[Any]:
        from datasketch import LeanMinHash, MinHash

        hashed = (triples(_conversation(sample)) for sample in batch)
        for sketch in MinHash.generator(hashed, num_perm=PERMUTATIONS, hashfunc=int):
            yield LeanMinHash(sketch)

    def _twin(self, sample: Sample, sketch: Any) -> str:
        asked: frozenset[str] | None = None
        for place in self._index.query(sketch):
            name, other, kept, with_passages = self._kept[place]
            if with_passages != (sample.shape == "raft") or sketch.jaccard(kept) < self._alike:
                continue
            asked = asked or frozenset(words(_asked(sample)))
            if jaccard(asked, frozenset(words(other))) >= self._questions_alike:
                return name
        return ""


class SameMeaning:
    """Turns down questions that another sample of the same family asks with the same meaning, by their embeddings."""

    name = "same-meaning"

    def __init__(self, embedder: Embedder, alike: float = EMBEDDINGS_ALIKE) -> None:
        self._embedder = embedder
        self._alike = alike
        self._families: dict[tuple[str, str], list[tuple[str, Any]]] = {}

    def sift(self, samples: Iterable[Sample]) -> Iterator[Sample | Reject]:
        for batch in batched(samples, BATCH):
            vectors = self._embedder.documents([_asked(sample) for sample in batch])
            for sample, vector in zip(batch, vectors, strict=True):
                known = self._families.setdefault((sample.family, sample.shape), [])
                twin = next((name for name, other in known if float(vector @ other) >= self._alike), "")
                if twin:
                    yield Reject(sample, self.name, f"asks what sample {twin} asks, in other words")
                else:
                    known.append((sample.id, vector))
                    yield sample


def triples(text: str) -> list[int]:
    """32-bit hashes of the text's word triples (of the words themselves where there are fewer than three)."""
    tokens = words(text)
    hashes = np.fromiter(map(_hash, tokens), dtype=np.uint32, count=len(tokens))
    if len(hashes) >= 3:
        hashes = hashes[:-2] * np.uint32(0x9E3779B1) ^ hashes[1:-1] * np.uint32(0x85EBCA77) ^ hashes[2:]
    return np.unique(hashes).tolist()


@lru_cache(maxsize=1 << 17)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode())


def batched(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    left = iter(samples)
    while batch := list(islice(left, size)):
        yield batch


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Share of the members of either that both have; 1 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 1.0


def _turns(sample: Sample) -> Iterator[tuple[str, str]]:
    return zip(sample.questions, sample.answers, strict=False)


def _asked(sample: Sample) -> str:
    return "\n".join(sample.questions)


def _conversation(sample: Sample) -> str:
    return "\n".join(text for pair in _turns(sample) for text in pair)
