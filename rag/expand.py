"""A small chunk is found, its section is read: what stands around a passage, for the model, up to a token budget.

Pure: the found chunks and their neighbours on the page in, slices of the page out. A section is the run of chunks under
the same heading path. Nothing is given twice: a passage grows only up to the next one that was found, so that each
number in an answer still leads to the passage that says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

REACH = 12
"""Chunks looked at on either side of a found one: about 5,000 tokens of section."""


@dataclass(frozen=True)
class Piece:
    """A chunk as far as it matters here. ``start``/``end``: offsets into the page's body; ``tokens``: its estimate."""

    chunk_id: int
    page_id: str
    heading_path: tuple[str, ...]
    start: int
    end: int
    tokens: int


@dataclass(frozen=True)
class Section:
    """What the model reads for one passage: an exact slice of the page's body that holds the passage's own."""

    page_id: str
    title: str
    heading_path: tuple[str, ...]
    text: str
    start: int
    end: int


def widen(found: Sequence[int], pieces: Mapping[int, Piece], budget: int) -> list[tuple[int, int]]:
    """First and last chunk id of each found chunk's section, as far as ``budget`` tokens reach.

    ``found``: chunk ids, best first, each with the pieces around it in ``pieces`` (ids of one page are consecutive).
    The found chunks themselves count first and always stay; the rest goes to the best passage, then to the next.
    """
    taken = set(found)
    left = budget - sum(pieces[chunk_id].tokens for chunk_id in found)
    ranges = []
    for chunk_id in found:
        first = last = chunk_id
        grows = [True, True]
        while any(grows):
            for side, step in ((0, 1), (1, -1)):  # what follows a passage explains it more often than what precedes it
                edge = (last if step > 0 else first) + step
                piece = pieces.get(edge)
                grows[side] = grows[side] and _fits(piece, pieces[chunk_id], taken, left)
                if grows[side] and piece:
                    taken.add(edge)
                    left -= piece.tokens
                    first, last = min(first, edge), max(last, edge)
        ranges.append((first, last))
    return ranges


def _fits(piece: Piece | None, origin: Piece, taken: set[int], left: int) -> bool:
    return (
        piece is not None
        and piece.chunk_id not in taken
        and piece.page_id == origin.page_id
        and piece.heading_path == origin.heading_path
        and piece.tokens <= left
    )
