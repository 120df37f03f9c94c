"""How much memory does a recipe need on each GPU? A formula, byte by byte, before anything is started.

States: Rajbhandari et al. 2020 (ZeRO, arXiv 1910.02054), stage 1, which Megatron calls the distributed optimizer.
Activations: Korthikanti et al. 2022 (arXiv 2205.05198), worked out anew for grouped-query attention, a gated MLP and
fused attention, which keeps no matrix of scores. Held against seven measured runs of Qwen3-8B on one H200 (see
tests/test_sft_training_plan.py): full parameters in bf16 and fp8 within 3 %, LoRA within 5 %. Tensor, pipeline and
context parallelism follow the same reasoning and have not been measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from sft.training.model import Shape
from sft.training.parallel import Layout
from sft.training.recipe import Recipe

GIB = 1024**3
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "float32": 4, "float16": 2, "bfloat16": 2}
OVERHEAD = 0.5 * GIB
"""Workspaces and gaps between blocks, seen in the measured runs. The driver's own context comes on top: CONTEXT."""
CONTEXT = 1.5 * GIB
"""What the driver, cuBLAS and NCCL hold outside of torch's figures."""


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest GPU."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    overhead: float = OVERHEAD

    @property
    def total(self) -> float:
        """What torch will have reserved at the peak."""
        return sum(self.__dict__.values())

    def gib(self) -> dict[str, float]:
        return {name: round(value / GIB, 2) for name, value in {**self.__dict__, "total": self.total}.items()}


def memory(recipe: Recipe, shape: Shape, parts: Layout) -> Memory:
    """The peak of one training step. It comes at the loss, or in the backward pass of recomputed layers."""
    weights, gradients, optimizer = _states(recipe, shape, parts)
    kept, again = _activations(recipe, shape, parts)
    logits = _logits(recipe, shape, parts)
    if again > logits:  # the logits are gone by the time that a group of layers is computed again
        return Memory(weights, gradients, optimizer, kept + again, 0)
    return Memory(weights, gradients, optimizer, kept, logits)


def parameters_per_gpu(shape: Shape, parts: Layout) -> float:
    """Of the first or last pipeline stage, whichever is fuller: both carry an embedding."""
    embeddings = shape.embedding * (1 if shape.tied or parts.pipeline > 1 else 2)
    layers = shape.parameters - shape.embedding * (1 if shape.tied else 2)
    return (layers / parts.pipeline + embeddings) / parts.tensor


def lora_parameters(rank: int, shape: Shape) -> float:
    """A and B beside each of the four linear maps: rank x (input + output), all layers."""
    sides = (
        (shape.hidden + shape.q + 2 * shape.kv)
        + (shape.q + shape.hidden)
        + (shape.hidden + 2 * shape.ffn)
        + (shape.ffn + shape.hidden)
    )
    return float(rank * sides * shape.layers)


def _states(recipe: Recipe, shape: Shape, parts: Layout) -> tuple[float, float, float]:
    """Bytes of weights, gradients and optimizer."""
    weight, grad, state = bytes_per_parameter(recipe)
    held = parameters_per_gpu(shape, parts)
    weights = held * weight
    if recipe.flag("fp8_format", ""):
        weights += 2 * shape.layers * shape.layer / parts.pipeline / parts.tensor  # by rows and by columns, kept
    trained = held
    if recipe.adapter:
        trained = lora_parameters(int(recipe.flag("lora_rank", 8)), shape) / parts.pipeline / parts.tensor
        weights += trained * weight
    sharded = recipe.backend == "megatron" and recipe.flag("use_distributed_optimizer", True)
    states = trained * state / (parts.data * parts.context if sharded else 1)
    if recipe.flag("optimizer_cpu_offload", False):
        states *= 1 - float(recipe.flag("optimizer_offload_fraction", 1.0))
    return weights, trained * grad, states


def bytes_per_parameter(recipe: Recipe) -> tuple[int, int, float]:
    """Of a trained parameter: weight, gradient, optimizer.

    Adam in mixed precision keeps a float32 copy and two moments. Megatron's precision-aware optimizer takes the moments
    in what types it is told; of the copy it stores only the 16 bits that the bf16 weight lacks (megatron-core 0.16,
    OptimizerConfig.store_param_remainders).
    """
    if recipe.backend == "swift":  # AdamW in the model's own type
        own = BYTES[str(recipe.flag("torch_dtype", "bfloat16"))]
        return own, own, 2 * own
    if not recipe.flag("use_precision_aware_optimizer", False):
        return 2, 4, 12
    moments = sum(BYTES[str(recipe.flag(name, "fp32"))] for name in ("exp_avg_dtype", "exp_avg_sq_dtype"))
    return 2, BYTES[str(recipe.flag("main_grads_dtype", "fp32"))], 2 + moments


def layer_bytes(recipe: Recipe, shape: Shape, parts: Layout) -> float:
    """What one layer keeps of one token for the backward pass, in bytes on one GPU.

    Split by tensor parallelism: queries, keys and values as they come from the projection (12,288 bytes a token for
    Qwen3-8B), their normalised and their rotated copies (10,240 each), the attention's output, the MLP's two halves
    and their product. Split only with sequence parallelism: the inputs of both norms and what these make of them.
    """
    width = 4 if recipe.flag("torch_dtype", "bfloat16") == "float32" else 2
    fp8 = bool(recipe.flag("fp8_format", ""))
    qkv = shape.q + 2 * shape.kv
    rotated = 2 * (shape.q + shape.kv)
    attention = width * (qkv + rotated + shape.q) + (shape.q if fp8 else 0)  # fp8: the next map keeps its own copy
    mlp = width * 2 * shape.ffn + shape.ffn * (1 if fp8 else width)
    norms = 2 * shape.hidden * (width + (1 if fp8 else width))
    if recipe.adapter and recipe.backend == "megatron":  # adapters are float32, and so
        norms += 4 * 2 * shape.hidden  # is the copy of the input that each of the four keeps
        attention += 4 * shape.q
        mlp += 4 * shape.ffn
    if recipe.adapter and float(recipe.flag("lora_dropout", 0.05)):
        norms += (width + 1) * 2 * shape.hidden  # each adapter drops out of a copy of its input, and keeps the mask
        mlp += (width + 1) * shape.ffn
        attention += (width + 1) * shape.q
    split = parts.tensor if recipe.flag("sequence_parallel", False) else 1
    return (attention + mlp) / parts.tensor + norms / split


def _activations(recipe: Recipe, shape: Shape, parts: Layout) -> tuple[float, float]:
    """Bytes kept for all layers, and bytes of the layers that are computed again at once."""
    tokens = tokens_at_once(parts)
    layer = tokens * layer_bytes(recipe, shape, parts)
    layers = shape.layers / parts.pipeline
    flight = parts.pipeline  # the first stage has that many micro-batches under way
    split = parts.tensor if recipe.flag("sequence_parallel", False) else 1
    entry = tokens * shape.hidden * (4 if recipe.flag("torch_dtype", "") == "float32" else 2) / split
    if not full_recompute(recipe):
        return flight * layers * layer, 0.0
    group = min(int(recipe.flag("recompute_num_layers", 1)), layers)
    if recipe.flag("recompute_method", "uniform") == "block":  # so many layers again, one at a time; the rest is kept
        return flight * (group * entry + (layers - group) * layer), layer if group else 0.0
    return flight * layers / group * entry, group * layer


def full_recompute(recipe: Recipe) -> bool:
    if recipe.backend == "swift":
        return bool(recipe.flag("gradient_checkpointing", True))
    return bool(recipe.flag("recompute_granularity", "selective") == "full")


def tokens_at_once(parts: Layout) -> float:
    """Of one micro-batch on one GPU, at most."""
    return parts.micro_batch * parts.sequence / parts.context


def _logits(recipe: Recipe, shape: Shape, parts: Layout) -> float:
    """At the loss: the logits, their softmax in float32, and a copy of it while the gradient is made.

    Unfused, one more copy in float32 (megatron-core, tensor_parallel/cross_entropy.py). Transformer Engine's fused loss
    writes the gradient over the logits and keeps nothing else.
    """
    width = 4 if recipe.flag("torch_dtype", "bfloat16") == "float32" else 2
    if recipe.backend == "megatron" and recipe.flag("cross_entropy_fusion_impl", "native") == "te":
        return tokens_at_once(parts) * shape.vocab / parts.tensor * width
    fused = recipe.backend == "megatron" and recipe.flag("cross_entropy_loss_fusion", True)
    return tokens_at_once(parts) * shape.vocab / parts.tensor * (width + 4 + 4 + (0 if fused else 4))
