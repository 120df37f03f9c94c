"""What a step learns from: rows of tokens, from plain text and from question-answer tasks, packed.

Which rows come n-th is a function of the seed and n alone: "how many rows were taken" is all that a checkpoint has to
remember to go on. numpy only.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
PACK_WINDOW = 2048  # samples that are packed among themselves, so that an epoch's order stays random


@dataclass(frozen=True)
class Batch:
    """``ids``, ``docs`` (rows, tokens); ``picked``: places (row * tokens + place) whose next token is learned;
    ``targets``: these tokens; ``weights``: what each counts; ``text``: whether it is plain text."""

    ids: Ints
    docs: Ints
    picked: Ints
    targets: Ints
    weights: NDArray[np.float32]
    text: NDArray[np.bool_]


class Rows(Protocol):
    """``take(first, count)``: rows number ``first`` up to ``first + count`` of an endless, repeatable sequence."""

    row_tokens: int

    def take(self, first: int, count: int) -> Sequence[Row]: ...


@dataclass(frozen=True)
class Row:
    """``ids`` one longer than a row: inputs are all but the last. ``docs`` as long; ``learn[i]``: what predicting
    ``ids[i + 1]`` counts."""

    ids: Ints
    docs: Ints
    learn: NDArray[np.float32]
    text: bool


class TextRows:
    """A stream of documents, each ended by ``end``, cut into rows. Each pass over it is shuffled and cut elsewhere."""

    def __init__(self, stream: NDArray[np.uint16], row_tokens: int, end: int, seed: int, weight: float = 1.0) -> None:
        self.row_tokens = row_tokens
        self._stream, self._end, self._seed, self._weight = stream, end, seed, weight
        self._each = max(1, (len(stream) - row_tokens - 1) // row_tokens)
        if len(stream) < row_tokens + 1:
            raise ValueError(f"{len(stream)} tokens of text are too few for one row of {row_tokens}")
        self._epoch = -1
        self._order: Ints = np.zeros(0, np.int64)

    def take(self, first: int, count: int) -> list[Row]:
        return [self._row(number) for number in range(first, first + count)]

    def _row(self, number: int) -> Row:
        epoch, place = divmod(number, self._each)
        if epoch != self._epoch:
            rng = np.random.default_rng((self._seed, epoch))
            self._shift = int(rng.integers(0, max(1, min(self.row_tokens, len(self._stream) - self.row_tokens))))
            self._order, self._epoch = rng.permutation(self._each), epoch
        start = min(self._shift + int(self._order[place]) * self.row_tokens, len(self._stream) - self.row_tokens - 1)
        ids = np.asarray(self._stream[start : start + self.row_tokens + 1], np.int64)
        docs = np.concatenate(([0], np.cumsum(ids[:-1] == self._end)))
        learn = np.where(ids[:-1] == self._end, 0.0, self._weight).astype(np.float32)  # a new document is no surprise
        return Row(ids, docs[:-1], learn, True)


@dataclass(frozen=True)
class Samples:
    """Tokenised tasks, end to end: sample i is ``tokens[starts[i] : starts[i + 1]]``, its answer from ``answers[i]``
    (an index into ``tokens``) on."""

    tokens: NDArray[np.uint16]
    starts: Ints
    answers: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1


class TaskRows:
    """Samples packed into rows, whole; each pass over them in another order. Only answers are learned."""

    def __init__(self, samples: Samples, row_tokens: int, pad: int, seed: int) -> None:
        self.row_tokens = row_tokens
        self._samples, self._pad, self._seed = samples, pad, seed
        if not len(samples) or int(np.diff(samples.starts).max()) > row_tokens:
            raise ValueError(f"there must be samples, and none longer than a row of {row_tokens} tokens")
        self._packed: list[list[list[int]]] = []  # of each pass, the samples of each row
        self._firsts = [0]  # number of a pass's first row

    def take(self, first: int, count: int) -> list[Row]:
        return [self._row(number) for number in range(first, first + count)]

    def _row(self, number: int) -> Row:
        while number >= self._firsts[-1]:
            order = np.random.default_rng((self._seed, len(self._packed))).permutation(len(self._samples))
            self._packed.append(pack(order, np.diff(self._samples.starts), self.row_tokens))
            self._firsts.append(self._firsts[-1] + len(self._packed[-1]))
        epoch = int(np.searchsorted(self._firsts, number, side="right")) - 1
        return self._filled(self._packed[epoch][number - self._firsts[epoch]])

    def _filled(self, members: Sequence[int]) -> Row:
        size = self.row_tokens
        ids = np.full(size + 1, self._pad, np.int64)
        docs = np.full(size, len(members), np.int64)
        learn = np.zeros(size, np.float32)
        at = 0
        for doc, index in enumerate(members):
            start, end = int(self._samples.starts[index]), int(self._samples.starts[index + 1])
            ids[at : at + end - start] = self._samples.tokens[start:end]
            docs[at : at + end - start] = doc
            learn[at + int(self._samples.answers[index]) - start - 1 : at + end - start - 1] = 1.0
            at += end - start
        return Row(ids, docs, learn, False)


class Mixed:
    """Tasks with a share of plain text between them, evenly."""

    def __init__(self, tasks: TaskRows, text: TextRows, text_share: float) -> None:
        self.row_tokens = tasks.row_tokens
        self._tasks, self._text, self._share = tasks, text, text_share

    def take(self, first: int, count: int) -> list[Row]:
        rows: list[Row] = []
        for number in range(first, first + count):
            before, after = int(number * self._share), int((number + 1) * self._share)
            rows += self._text.take(before, 1) if after > before else self._tasks.take(number - before, 1)
        return rows


def pack(order: Ints, lengths: Ints, size: int) -> list[list[int]]:
    """Samples -> rows of at most ``size`` tokens: within windows of ``order``, longest first, where it fits tightest.

    Rows come in random order: the windows' rows are not sorted by length.
    """
    rows: list[list[int]] = []
    for start in range(0, len(order), PACK_WINDOW):
        window = order[start : start + PACK_WINDOW]
        by_room: dict[int, list[list[int]]] = {}
        rooms: list[int] = []  # sorted; a room may stand in it more than once
        made: list[list[int]] = []
        for index in window[np.argsort(-lengths[window], kind="stable")]:
            length = int(lengths[index])
            at = bisect_left(rooms, length)
            if at < len(rooms):
                room = rooms.pop(at)
                row = by_room[room].pop()
            else:
                room, row = size, []
                made.append(row)
            row.append(int(index))
            left = room - length
            insort(rooms, left)
            by_room.setdefault(left, []).append(row)
        shuffled = np.random.default_rng(start + len(made)).permutation(len(made))
        rows += [made[place] for place in shuffled]
    return rows


def batch(rows: Sequence[Row]) -> Batch:
    """Rows of one length as arrays."""
    ids = np.stack([row.ids for row in rows])
    learn = np.stack([row.learn for row in rows])
    picked = np.flatnonzero(learn)
    text = np.repeat([row.text for row in rows], learn.shape[1])
    targets = ids[:, 1:].reshape(-1)[picked]
    docs = np.stack([row.docs for row in rows])
    return Batch(ids[:, :-1], docs, picked, targets, learn.reshape(-1)[picked], text[picked])
