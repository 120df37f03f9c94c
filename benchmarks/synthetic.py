"""A large corpus that is like a real one: pages out of a real corpus' paragraphs, vectors near real MiniLM vectors.

Uniformly random vectors would be of no use: no index but the exact one can search them. The same seed gives the same
corpus. Used by benchmarks/scale.py; the real model embeds a sample once, and a cache keeps what it computed.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from data.types import Page
from rag.cache import EmbeddingCache
from rag.chunk import chunk_page
from rag.embed import Embedder, Vectors

NOISE = 0.5
"""Length of the noise beside a unit vector: a cosine of about .89 to the real one."""


class NearMiniLM:
    """Passes for ``real``: questions go to it; a passage gets the vector of some real chunk plus noise of its own."""

    def __init__(self, real: Embedder, base: Vectors) -> None:
        self._real = real
        self._base = base
        self.name = real.name
        self.langs = real.langs
        self.fingerprint = real.fingerprint

    def documents(self, texts: Sequence[str]) -> Vectors:
        seeds = [zlib.crc32(text.encode()) for text in texts]
        return noisy(self._base, np.array(seeds) % len(self._base), np.random.default_rng(seeds))

    def query(self, text: str) -> Vectors:
        return self._real.query(text)


class Remembered(NearMiniLM):
    """Embeds ``questions`` beforehand, so that a search shows what it costs beside its embedding."""

    def __init__(self, embedder: NearMiniLM, questions: Sequence[str]) -> None:
        super().__init__(embedder._real, embedder._base)
        self._known = {question: embedder.query(question) for question in questions}

    def query(self, text: str) -> Vectors:
        return self._known[text]


def noisy(base: Vectors, rows: np.ndarray, chance: np.random.Generator) -> Vectors:
    """These rows of ``base``, each with noise of its own, of length 1."""
    dims = base.shape[1]
    noise = chance.standard_normal((len(rows), dims), dtype=np.float32) * np.float32(NOISE / dims**0.5)
    vectors: Vectors = base[rows] + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def real_vectors(pages: Sequence[Page], real: Embedder, cache: Path, sample: int, chunk_tokens: int) -> Vectors:
    """The model's own vectors of ``sample`` chunks of ``pages``, computed once and kept in ``cache``."""
    texts = [chunk.searchable for page in pages for chunk in chunk_page(page, chunk_tokens)]
    chosen = sorted(set(texts), key=lambda text: zlib.crc32(text.encode()))[:sample]
    with EmbeddingCache(cache) as kept:
        vectors, computed = kept.embed(real, chosen)
    print(f"{len(chosen)} real vectors, {computed} of them computed now", flush=True)
    return vectors


class Corpus:
    """Pages made of the paragraphs of real ``pages``, in one language each, as many of each language as there are."""

    def __init__(self, pages: Sequence[Page], seed: int = 1) -> None:
        self._pages = pages
        self._seed = seed

    @cached_property
    def _blocks(self) -> dict[str, list[str]]:
        """By language: paragraphs, lists, tables and code, each of at least 40 characters."""
        blocks: dict[str, list[str]] = {}
        for page in self._pages:
            found = [block.strip() for block in page.body.split("\n\n")]
            kept = [block for block in found if 40 <= len(block) <= 1500 and not block.startswith("#")]
            blocks.setdefault(page.lang, []).extend(kept)
        return {lang: found for lang, found in blocks.items() if len(found) >= 50}

    def page(self, number: int, edition: int = 0) -> tuple[str, str]:
        """Path and Markdown of one page; another ``edition`` of it differs in one paragraph."""
        chance = random.Random(f"{self._seed} {number}")
        lang = chance.choice([page.lang for page in self._pages if page.lang in self._blocks])
        blocks = self._blocks[lang]
        lines = [f"# {' '.join(chance.choice(blocks).split()[:4])} {number}"]
        for section in range(chance.randint(2, 4)):
            lines.append(f"## {section + 1} {' '.join(chance.choice(blocks).split()[:3])}")
            lines += [chance.choice(blocks) for _ in range(chance.randint(1, 2))]
        if edition:
            lines.append(f"Edition {edition}: " + random.Random(f"{number} {edition}").choice(blocks))
        return f"{lang}/{number // 1000:03}/page-{number:06}.md", "\n\n".join(lines) + "\n"
