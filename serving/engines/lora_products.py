"""What applies adapters in vLLM's CPU build: two products for each run of rows with the same adapter, in place.

Only vLLM imports this, told to by lora_on_cpu.py. Rows of a batch are tokens, and a request's tokens follow each other;
so runs are slices, and nothing is gathered, copied or masked. Which runs there are is decided once a step. vLLM's own
arithmetic stays: A in the model's precision, its product rounded to the output's, B added to what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from torch.nn.functional import linear
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU


class Run(NamedTuple):
    """Rows ``first`` to before ``end`` belong to adapter ``adapter``."""

    adapter: int
    first: int
    end: int


def runs(indices: Sequence[int]) -> list[Run]:
    """The runs of rows that have an adapter, from each row's adapter (-1: none)."""
    found, first = [], 0
    for index, rows in groupby(indices):
        end = first + sum(1 for _ in rows)
        if index >= 0:
            found.append(Run(index, first, end))
        first = end
    return found


class LoraProducts(PunicaWrapperCPU):
    """In vLLM's place of the same name; ``y``: (rows, out), changed in place; ``x``: (rows, in)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token_runs: list[Run] = []
        self._sampled_runs: list[Run] = []

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """What each step begins with: the rows of all its tokens, and of those whose next token is drawn."""
        super().update_metadata(*args, **kwargs)
        self._token_runs = runs(self.token_lora_indices.tolist())
        self._sampled_runs = runs(self.sampler_indices.tolist())

    def add_lora_linear(
        self, y: Any, x: Any, lora_a_stacked: Any, lora_b_stacked: Any, scale: float, output_slices: Any, **_: Any
    ) -> None:
        """y[:, slice] += scale * x @ A.T @ B.T, for the matrices that vLLM holds as one (q, k and v, say)."""
        if not self._token_runs:
            return
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        left = 0
        for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
            for index, first, end in self._token_runs:
                made = shrink(x[first:end], matrix(a, index), scale)
                expand(y[first:end, left : left + width], made, matrix(b, index))
            left += width

    def add_lora_logits(self, y: Any, x: Any, lora_a_stacked: Any, lora_b_stacked: Any, scale: float, **_: Any) -> None:
        """The same over the vocabulary, which vLLM and an adapter pad differently."""
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for index, first, end in self._sampled_runs:
            made = shrink(x[first:end], matrix(lora_a_stacked, index), scale)
            expand(y[first:end], made, matrix(lora_b_stacked, index))

    def add_lora_embedding(self, y: Any, x: Any, lora_b_stacked: Any, add_inputs: bool = True, **_: Any) -> None:
        """y += x @ B.T, where x holds A's rows already."""
        for index, first, end in self._token_runs:
            expand(y[first:end], x[first:end], matrix(lora_b_stacked, index))


def matrix(stacked: Any, index: int) -> Any:
    """One adapter's, of (adapters, 1, out, in) or (adapters, out, in)."""
    return stacked[index, 0] if stacked.dim() == 4 else stacked[index]


def shrink(x: Any, a: Any, scale: float) -> Any:
    """scale * x @ A.T, in the wider precision where they differ."""
    made = linear(x, a) if x.dtype == a.dtype else linear(x.float(), a.float())
    return made if scale == 1 else made * scale


def expand(y: Any, made: Any, b: Any) -> None:
    """y += made @ B.T in y's precision, over the width that both have."""
    width = min(y.shape[1], b.shape[0])
    y[:, :width].addmm_(made.to(y.dtype), b[:width].to(y.dtype).t())
