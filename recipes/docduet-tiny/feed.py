"""Steps' micro batches as tensors, made in a thread of their own while the device computes.

A step of 131,072 tokens takes 5 ms of one core (26 M tokens a second), packing a pass of tasks a second now and
then; and a copy from ordinary memory waits until the device has done all before it. So the next steps lie ready in
pinned memory. Their order is that of the rows.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from rows import Row, Rows, batch
from torch import Tensor

AHEAD = 4  # steps


@dataclass(frozen=True)
class Micro:
    """rows.Batch as tensors. ``weight``: the sum of ``weights``; ``answers``, ``texts``: learned tokens of either."""

    ids: Tensor
    docs: Tensor
    picked: Tensor
    targets: Tensor
    weights: Tensor
    text: Tensor
    weight: float
    answers: int
    texts: int

    def moved(self, move: Callable[[Tensor], Tensor]) -> Micro:
        tensors = {name: move(value) for name, value in self.__dict__.items() if isinstance(value, Tensor)}
        return replace(self, **tensors)

    def to(self, device: str) -> Micro:
        return self.moved(lambda tensor: tensor.to(device, non_blocking=True))


def micro(rows: Sequence[Row], pinned: bool = False) -> Micro:
    """Rows of one length, on the CPU."""
    made = batch(rows)
    texts = int(made.text.sum())
    counts = (float(made.weights.sum()), len(made.text) - texts, texts)
    arrays = (made.ids, made.docs, made.picked, made.targets, made.weights, made.text)
    plain = Micro(*map(torch.from_numpy, arrays), *counts)  # type: ignore[arg-type]
    return plain.moved(Tensor.pin_memory) if pinned else plain


class Feed:
    """``next()``: the micro batches of one step after the other, from row ``first`` on. What goes wrong in the thread
    is raised there."""

    def __init__(self, rows: Rows, first: int, step_rows: int, micro_rows: int, pinned: bool) -> None:
        self._rows, self._step, self._micro, self._pinned = rows, step_rows, micro_rows, pinned
        self._made: queue.Queue[Any] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(first,), daemon=True)
        self._thread.start()

    def next(self) -> list[Micro]:
        made = self._made.get()
        if isinstance(made, Exception):
            raise made
        return list(made)

    def close(self) -> None:
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._made.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _work(self, first: int) -> None:
        while not self._closed.is_set():
            try:
                self._made.put(self._one(first))
            except Exception as error:
                self._made.put(error)
                return
            first += self._step

    def _one(self, first: int) -> list[Micro]:
        rows = self._rows.take(first, self._step)
        return [micro(rows[at : at + self._micro], self._pinned) for at in range(0, len(rows), self._micro)]
