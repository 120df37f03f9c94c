"""The first passages made worth their room: the same text not twice, one page not everywhere.

Pure: ranked candidates in, the positions to keep out. Two passages are the same when their shingles (runs of four
words or Chinese characters) overlap by SAME; a changed number or name in a short passage is enough to tell them apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

SAME = 0.85
"""Jaccard similarity of the shingles from which two passages count as one."""

SHINGLE = 4

_PIECE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|\w+")


def diversify(pages: Sequence[str], texts: Sequence[str], wanted: int, per_page: int) -> list[int]:
    """Positions of the passages to show, at most ``wanted``, in their old order.

    ``pages`` and ``texts`` go by rank. A page gets ``per_page`` places (0: any number); where that leaves places
    empty, its further passages come after all. What says the same as a better passage is never shown.
    """
    kept: list[int] = []
    spare: list[int] = []
    seen: list[frozenset[tuple[str, ...]]] = []
    used: Counter[str] = Counter()
    for position, (page, text) in enumerate(zip(pages, texts, strict=True)):
        if len(kept) == wanted:
            break
        found = shingles(text)
        if any(similarity(found, other) >= SAME for other in seen):
            continue
        seen.append(found)
        if per_page and used[page] == per_page:
            spare.append(position)
            continue
        kept.append(position)
        used[page] += 1
    return sorted([*kept, *spare[: wanted - len(kept)]])


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of four words, or of Chinese characters, in lower case; a shorter text is one run."""
    pieces = _PIECE.findall(text.lower())
    return frozenset(tuple(pieces[i : i + SHINGLE]) for i in range(max(1, len(pieces) - SHINGLE + 1)))


def similarity(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> float:
    """Jaccard: |both| / |either|; sets of very different size are not compared at all."""
    small, large = sorted((len(left), len(right)))
    if not large or small < SAME * large:
        return 0.0
    both = len(left & right)
    return both / (small + large - both)
