"""Does it fit, how long will it take, and what is lost? Answered before anything is started.

Memory comes from memory.py's formula. Time is an estimate: the samples' tokens over a rate that was measured on one
H200 with Qwen3-8B's shape, scaled by the floating-point operations that a token costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from sft.training import disk
from sft.training.cluster import Cluster
from sft.training.dataset import Lengths
from sft.training.gpus import Gpu
from sft.training.memory import CONTEXT, GIB, Memory, full_recompute, lora_parameters, memory
from sft.training.model import Shape
from sft.training.parallel import Layout, layout
from sft.training.recipe import Recipe

USABLE = 0.97
"""Share of a GPU's memory that may be planned for: at 99 % a measured run (fp8, packed to 8,192) ran out."""

TFLOPS = {"recompute": 228.0, "selective": 470.0, "none": 500.0, "fused": 555.0, "fp8": 763.0}
"""Useful TFLOP/s measured on one H200: full recompute without packing, packed to 4,096, packed to 8,192, the same with
the plugin fused_gradients and fused rotary embedding and loss, that in fp8."""
SCALING = 0.9
"""Of the rate of one GPU, what each of several keeps: an assumption."""
FLOOR_S = 0.35
"""Least time of a micro-batch, however short its samples: the launches of some 10,000 kernels. Measured with full
recompute on an H200's machine (benchmarks/LOG.md, 2026-11-26)."""
PACKED = 0.98
"""Share of a packed sequence that is filled."""


@dataclass(frozen=True)
class Duration:
    """``steps`` optimizer steps over ``tokens`` useful tokens. ``seconds``: None where nothing was measured."""

    epochs: float
    steps: int
    tokens: int
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """``limit``: GiB of a GPU. ``advice``: --set options that make it fit, cheapest first; () when it fits or
    none does. ``checkpoint``: GiB of one on disk."""

    recipe: Recipe
    machine: Cluster
    parts: Layout
    memory: Memory
    limit: float
    fits: bool
    checkpoint: float
    duration: Duration | None
    advice: tuple[str, ...] = ()
    advised: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def needed(self) -> float:
        """GiB with what the driver holds besides."""
        return (self.memory.total + (CONTEXT if self.machine.gpus else 0)) / GIB

    def as_dict(self) -> dict[str, object]:
        return {
            "recipe": self.recipe.name,
            "machine": {"nodes": self.machine.nodes, "gpus": self.machine.gpus, "memory_gib": self.limit},
            "layout": {**self.parts.__dict__, "global_batch": self.parts.global_batch},
            "memory_gib": self.memory.gib(),
            "needed_gib": round(self.needed, 2),
            "fits": self.fits,
            "checkpoint_gib": round(self.checkpoint, 1),
            "duration": self.duration.__dict__ if self.duration else None,
            "advice": list(self.advice),
            "needed_with_advice_gib": round(self.advised, 2) if self.advice else None,
            "notes": list(self.notes),
        }


def plan(
    recipe: Recipe,
    machine: Cluster,
    shape: Shape,
    limit: float = 0,
    lengths: Lengths | None = None,
    gpus: Sequence[Gpu] = (),
) -> Plan:
    """``limit``: GiB of a GPU, default the recipe's own. ``gpus``: those at hand. Raises ConfigError (layout)."""
    parts = layout(recipe, machine)
    limit = limit or recipe.machine.memory
    found = memory(recipe, shape, parts)
    fits = _fits(found, machine, limit)
    advice, advised = ((), 0.0) if fits else _advice(recipe, machine, shape, limit, lengths)
    duration = _duration(recipe, machine, shape, parts, lengths) if lengths else None
    return Plan(
        recipe,
        machine,
        parts,
        found,
        limit,
        fits,
        checkpoint_gib(recipe, shape),
        duration,
        advice,
        advised,
        tuple(_notes(recipe, machine, shape, found, limit, gpus)),
    )


def _fits(found: Memory, machine: Cluster, limit: float) -> bool:
    return found.total + (CONTEXT if machine.gpus else 0) <= limit * GIB * USABLE


def _advice(
    recipe: Recipe, machine: Cluster, shape: Shape, limit: float, lengths: Lengths | None
) -> tuple[tuple[str, ...], float]:
    """The cheapest changes that together make it fit, and GiB then; what turns out not to be needed is left out."""
    taken: list[dict[str, object]] = []
    for change in _changes(recipe, machine, lengths):
        taken.append(change)
        if _with(recipe, machine, shape, limit, taken)[0]:
            break
    else:
        return (), 0.0
    for change in taken[-2::-1]:
        fewer = [one for one in taken if one is not change]
        if _with(recipe, machine, shape, limit, fewer)[0]:
            taken = fewer
    said = tuple(f"--set {name}={str(value).lower()}" for change in taken for name, value in change.items())
    return said, _with(recipe, machine, shape, limit, taken)[1]


def _with(
    recipe: Recipe, machine: Cluster, shape: Shape, limit: float, changes: Sequence[dict[str, object]]
) -> tuple[bool, float]:
    flags = dict(recipe.flags)
    for change in changes:
        flags |= change
    changed = recipe.model_copy(update={"flags": flags})
    try:
        found = memory(changed, shape, layout(changed, machine))
    except ValueError:
        return False, 0.0
    return _fits(found, machine, limit), (found.total + CONTEXT) / GIB


def _changes(recipe: Recipe, machine: Cluster, lengths: Lengths | None) -> list[dict[str, object]]:
    """What saves memory, from what costs nothing to what costs most."""
    if recipe.backend == "swift":
        return [{"gradient_checkpointing": True}, {"per_device_train_batch_size": 1}, {"tuner_type": "lora"}]
    full = not recipe.adapter
    changes: list[dict[str, object]] = [{"cross_entropy_loss_fusion": True}]
    if full:
        types = ("main_grads_dtype", "exp_avg_dtype", "exp_avg_sq_dtype")
        changes.append({"use_precision_aware_optimizer": True, **dict.fromkeys(types, "bf16")})
    if int(recipe.flag("micro_batch_size", 1)) > 1:
        changes.append({"micro_batch_size": 1})
    longest = max(lengths.tokens, default=0) if lengths else 0
    length = int(recipe.flag("max_length", 2048))
    while recipe.flag("packing", False) and length // 2 >= max(longest, 1024):
        length //= 2
        changes.append({"max_length": length})
    changes.append({"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1})
    for tensor in (2, 4, 8):
        if machine.gpus % tensor == 0 and tensor > int(recipe.flag("tensor_model_parallel_size", 1)):
            changes.append({"tensor_model_parallel_size": tensor, "sequence_parallel": True})
    if full:
        changes.append({"optimizer_cpu_offload": True})
        changes.append({"tuner_type": "lora", "merge_lora": False, "optimizer_cpu_offload": False})
    return changes


def _duration(recipe: Recipe, machine: Cluster, shape: Shape, parts: Layout, lengths: Lengths) -> Duration:
    epochs = float(recipe.flag("num_train_epochs", 3 if recipe.backend == "swift" else 1))
    tokens, samples = lengths.total, max(lengths.kept, 1)
    sequences = ceil(tokens / parts.sequence / PACKED) if parts.packing else samples
    whole = ceil if recipe.backend == "swift" else int  # transformers takes an epoch's last batch, Megatron drops it
    steps = max(1, whole(sequences * epochs / parts.global_batch))
    for name in ("train_iters", "max_steps"):
        given = int(recipe.flag(name, 0))
        if given > 0:
            epochs, steps = epochs * given / steps, given
    if not machine.gpus:
        return Duration(epochs, steps, round(tokens * epochs), None)
    kind = _kind(recipe, parts)
    share = SCALING if machine.world_size > 1 else 1.0
    rate = TFLOPS[kind] * 1e12 * machine.world_size * share / shape.flops_per_token(tokens // samples)
    least = FLOOR_S * steps * parts.accumulation
    return Duration(epochs, steps, round(tokens * epochs), max(tokens * epochs / rate, least))


def _kind(recipe: Recipe, parts: Layout) -> str:
    """Which of the measured runs is most like it."""
    if full_recompute(recipe):
        return "recompute"
    if not parts.packing or parts.sequence <= 4096:
        return "selective"
    if not recipe.plugins:
        return "none"
    return "fp8" if recipe.flag("fp8_format", "") else "fused"


def checkpoint_gib(recipe: Recipe, shape: Shape) -> float:
    """One checkpoint on disk (disk.py's estimate)."""
    trained = lora_parameters(int(recipe.flag("lora_rank", 8)), shape) if recipe.adapter else shape.parameters

    def flag(name: str, default: str) -> str:
        return str(recipe.flag(name, default))

    return disk.checkpoint_bytes(flag, recipe.backend, shape.parameters, trained) / GIB


def crowded(needed: float, gpus: Sequence[Gpu]) -> list[str]:
    """The GPUs on which others leave less than ``needed`` GiB: who they are, and what to do."""
    return [
        f"{gpu.who()}, {needed:.1f} GiB are needed: stop it, or choose another GPU by CUDA_VISIBLE_DEVICES"
        for gpu in gpus
        if gpu.busy and needed > gpu.total - gpu.used
    ]


def _notes(
    recipe: Recipe, machine: Cluster, shape: Shape, found: Memory, limit: float, gpus: Sequence[Gpu]
) -> list[str]:
    notes = []
    if machine.world_size > 1 and recipe.backend == "megatron":
        notes.append("the formula was held against runs on one GPU only; on several it is worked out, not measured")
    heads = int(recipe.flag("tensor_model_parallel_size", 1))
    if shape.kv_heads % heads and heads % shape.kv_heads:
        notes.append(
            f"tensor_model_parallel_size {heads} does not fit {shape.kv_heads} key heads; Megatron will refuse"
        )
    if gpus and len(gpus) < machine.gpus:
        notes.append(f"this machine has {len(gpus)} GPUs, the recipe wants {machine.gpus}")
    notes += crowded((found.total + CONTEXT) / GIB, gpus[: machine.gpus])
    for gpu in gpus[: machine.gpus]:
        if gpu.total < limit * 0.97:
            notes.append(f"GPU {gpu.index} has {gpu.total:.1f} GiB, not the {limit:g} planned for: --gpu-memory")
    return notes
