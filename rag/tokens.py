"""Each chunk's tokens as numbers: what BM25 is counted from, and how a passage knows which words it holds.

A generation keeps its table, so that the next one tokenises only what changed. Vocabularies are numbered by first
occurrence, so equal chunks give equal tables, however they were put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.arrays import save_rows


@dataclass(frozen=True, eq=False)
class TokenTable:
    """Chunk i holds the tokens ``vocabulary[n] for n in ids[offsets[i]:offsets[i + 1]]``, in the text's order.

    ``ids``: int32, shape (tokens,); ``offsets``: int64, shape (chunks + 1,).
    """

    vocabulary: Sequence[str]
    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, chunk: int) -> NDArray[np.int32]:
        """The numbers of one chunk's tokens."""
        return self.ids[self.offsets[chunk] : self.offsets[chunk + 1]]

    def rows(self, first: int, last: int) -> TokenTable:
        """Chunks first to last (exclusive), of the same vocabulary."""
        start, end = self.offsets[first], self.offsets[last]
        return TokenTable(self.vocabulary, self.ids[start:end], self.offsets[first : last + 1] - start)

    def save(self, folder: Path) -> None:
        """Write all but the vocabulary, which lies with BM25."""
        save_rows(folder / "tokens.npy", [self.ids])
        save_rows(folder / "token_offsets.npy", [self.offsets])

    @classmethod
    def load(cls, folder: Path, vocabulary: Sequence[str]) -> TokenTable:
        """Memory-mapped. Raises OSError or ValueError."""
        ids = np.load(folder / "tokens.npy", mmap_mode="r")
        table = cls(vocabulary, ids, np.load(folder / "token_offsets.npy"))
        if table.offsets[-1] != len(ids):
            raise ValueError(f"{folder}: tokens and offsets do not fit together")
        return table


def tabulate(chunks: Iterable[Sequence[str]]) -> TokenTable:
    """The table of chunks given as lists of tokens."""
    numbers: dict[str, int] = {}
    ids: list[int] = []
    ends = [0]
    for tokens in chunks:
        ids.extend([numbers.setdefault(token, len(numbers)) for token in tokens])
        ends.append(len(ids))
    return TokenTable(list(numbers), np.array(ids, dtype=np.int32), np.array(ends, dtype=np.int64))


def joined(parts: Sequence[TokenTable]) -> TokenTable:
    """One table of all chunks of ``parts``, in this order, with a vocabulary of just what occurs."""
    numbers: dict[str, int] = {}
    maps: dict[int, NDArray[np.int32]] = {}
    for part in parts:
        if id(part.vocabulary) not in maps:
            known = [numbers.setdefault(token, len(numbers)) for token in part.vocabulary]
            maps[id(part.vocabulary)] = np.array(known, dtype=np.int32)
    nothing = np.empty(0, dtype=np.int32)
    ids = np.concatenate([nothing, *(maps[id(part.vocabulary)][part.ids] for part in parts)])
    lengths = np.concatenate([nothing, *(np.diff(part.offsets) for part in parts)])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return _by_first_occurrence(TokenTable(list(numbers), ids, offsets))


def _by_first_occurrence(table: TokenTable) -> TokenTable:
    total = len(table.ids)
    first = np.full(len(table.vocabulary), total, dtype=np.int64)
    first[table.ids[::-1]] = np.arange(total - 1, -1, -1)  # of several values for one place, the last one stays
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < total)]
    numbers = np.empty(len(table.vocabulary), dtype=np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    return TokenTable([table.vocabulary[n] for n in order], numbers[table.ids], table.offsets)
