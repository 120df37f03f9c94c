"""How a recipe's batch is spread over GPUs: parallel sizes, micro-batches, sequences; checked before a start.

The rules are Megatron's (megatron-core 0.16 parallel_state.py) and ms-swift's (megatron_args.py, _init_distributed).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from data.errors import ConfigError
from sft.training.cluster import Cluster
from sft.training.recipe import Recipe


@dataclass(frozen=True)
class Layout:
    """``tensor``, ``pipeline``, ``context``, ``data``: sizes of the parallel groups. ``micro_batch``: sequences that
    one GPU takes at once; ``accumulation``: how often in one step. ``sequence``: tokens of the longest (packed) one."""

    tensor: int
    pipeline: int
    context: int
    data: int
    micro_batch: int
    accumulation: int
    sequence: int
    packing: bool

    @property
    def global_batch(self) -> int:
        """Sequences of one optimizer step."""
        return self.micro_batch * self.accumulation * self.data


def layout(recipe: Recipe, machine: Cluster) -> Layout:
    """Raises ConfigError, with the numbers, where the recipe does not fit the machine."""
    if recipe.backend == "megatron" and not machine.gpus:
        raise ConfigError(f"recipe {recipe.name} needs a GPU; without one, train a small model with --recipe tiny-cpu")
    packing = bool(recipe.flag("packing", False))
    if packing and not machine.gpus:
        raise ConfigError("packing needs flash attention, which no CPU has: --set packing=false")
    sequence = int(recipe.flag("max_length", 2048))
    sequence = int(recipe.flag("packing_length", sequence)) if packing else sequence
    return (_megatron if recipe.backend == "megatron" else _swift)(recipe, machine, sequence, packing)


def _megatron(recipe: Recipe, machine: Cluster, sequence: int, packing: bool) -> Layout:
    tensor, pipeline, context = (
        int(recipe.flag(f"{kind}_size", 1))
        for kind in ("tensor_model_parallel", "pipeline_model_parallel", "context_parallel")
    )
    model, world = tensor * pipeline * context, machine.world_size
    if world % model:
        raise ConfigError(
            f"tensor x pipeline x context parallel is {tensor} x {pipeline} x {context} = {model}, which does not "
            f"divide {world} GPUs ({machine.nodes} x {machine.gpus}): change --gpus, or --set "
            f"tensor_model_parallel_size={world}"
        )
    micro, batch, data = (
        int(recipe.flag("micro_batch_size", 1)),
        int(recipe.flag("global_batch_size", 16)),
        world // model,
    )
    if batch % (micro * data) or not batch:
        raise ConfigError(
            f"global_batch_size {batch} is no multiple of micro_batch_size {micro} x {data} data-parallel groups: "
            f"--set global_batch_size={ceil(max(batch, 1) / (micro * data)) * micro * data}"
        )
    return Layout(tensor, pipeline, context, data, micro, batch // (micro * data), sequence, packing)


def _swift(recipe: Recipe, machine: Cluster, sequence: int, packing: bool) -> Layout:
    micro, world = int(recipe.flag("per_device_train_batch_size", 1)), machine.world_size
    accumulation = int(recipe.flag("gradient_accumulation_steps", max(1, ceil(16 / micro / world))))
    return Layout(1, 1, 1, world, micro, accumulation, sequence, packing)
