"""A plugin of vLLM's CPU build: adapters without a copy of their matrices for each token.

vLLM 0.32 gathers an adapter's matrices once a token on a CPU (vllm/lora/ops/torch_ops/lora_ops.py: `bgmv_shrink`,
`bgmv_expand`, `bgmv_expand_slice`), gigabytes for a prompt of some thousand tokens. Here each adapter of a batch is
multiplied once, with the tokens that are its own. vLLM finds `register` by its entry point and calls it in each of its
processes; on anything but a CPU, or with a vLLM whose functions have gone, it changes nothing. Results stay the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

log = logging.getLogger(__name__)


def register() -> None:
    """Put the functions in place of vLLM's own, where it runs on a CPU."""
    try:
        from vllm.platforms import current_platform

        if not current_platform.is_cpu():
            return
        from vllm.lora.ops.torch_ops import lora_ops
        from vllm.lora.punica_wrapper import punica_cpu

        for function in (bgmv_shrink, bgmv_expand, bgmv_expand_slice):
            for module in (lora_ops, punica_cpu):
                if not hasattr(module, function.__name__):
                    raise AttributeError(f"{module.__name__} has no {function.__name__}")
        for function in (bgmv_shrink, bgmv_expand, bgmv_expand_slice):
            for module in (lora_ops, punica_cpu):
                setattr(module, function.__name__, function)
    except (ImportError, AttributeError) as error:
        log.warning("adapters on this CPU are as slow as vLLM makes them: %s", error)


def bgmv_shrink(inputs: Any, lora_a: Any, output: Any, indices: Any, scaling: float = 1.0) -> None:
    """output[:, :rank] = scaling * inputs @ A.T, each token (row) with the adapter that ``indices`` says."""
    output[:, : lora_a.shape[-2]] = 0
    for tokens, index in _by_adapter(indices[: inputs.shape[0]]):
        made = inputs[tokens].to(output.dtype) @ _matrix(lora_a, index).to(output.dtype).T
        output[tokens, : made.shape[1]] = made * scaling


def bgmv_expand(inputs: Any, lora_b: Any, output: Any, indices: Any, add_inputs: bool = True) -> None:
    """output += inputs @ B.T; the narrower of both widths counts, since adapter and model pad differently."""
    width = min(lora_b.shape[-2], output.shape[1])
    bgmv_expand_slice(inputs, lora_b[..., :width, :], output, indices, 0, width, add_inputs)


def bgmv_expand_slice(
    inputs: Any, lora_b: Any, output: Any, indices: Any, slice_offset: int, slice_size: int, add_inputs: bool = True
) -> None:
    """output[:, slice_offset : slice_offset + slice_size] += inputs @ B.T."""
    part = output[: inputs.shape[0], slice_offset : slice_offset + slice_size]
    if not add_inputs:
        part.zero_()
    for tokens, index in _by_adapter(indices[: inputs.shape[0]]):
        part[tokens] += inputs[tokens].to(output.dtype) @ _matrix(lora_b, index).to(output.dtype).T


def _by_adapter(indices: Any) -> Iterator[tuple[Any, int]]:
    """Each adapter's tokens (a slice where they are all); -1 marks a token that has none."""
    used = indices.unique().tolist()
    for index in used:
        if index >= 0:
            yield (slice(None) if len(used) == 1 else indices == index), int(index)


def _matrix(stacked: Any, index: int) -> Any:
    """Of (adapters, [1,] out, in), one adapter's."""
    return stacked[index].reshape(stacked.shape[-2:])
