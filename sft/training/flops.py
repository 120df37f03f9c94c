"""What a token costs and what a GPU can do: model FLOPs utilisation (MFU).

Floating-point operations per token, after PaLM (Chowdhery et al. 2022, arXiv 2204.02311, appendix B): 6 for each
weight that takes part in matrix products (forward 2, backward 4), and attention's own products, 12 x layers x heads x
head size x context. Attention is causal, so half of the context counts, as in Megatron-LM's formula since 0.12. The
weights are those of a Qwen3-like decoder (grouped-query attention, gated MLP), the output layer included and the
embedding table, which is only looked up, left out. With LoRA the frozen weights need no gradient of their own: 4
instead of 6. Work done again by recomputation does not count: that is what makes it *model* FLOPs.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError

PEAK_TFLOPS = {
    "B200": 2250.0,
    "B100": 1750.0,
    "GH200": 989.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H800": 989.0,
    "H20": 148.0,
    "A100": 312.0,
    "A800": 312.0,
    "L40S": 362.0,
    "L40": 181.0,
    "A40": 150.0,
    "A6000": 155.0,
    "A10": 125.0,
    "L4": 121.0,
    "4090": 165.0,
    "3090": 71.0,
}
"""Dense bf16 with float32 accumulation, TFLOP/s, from the makers' data sheets; the first name that fits counts."""


@dataclass(frozen=True)
class Shape:
    """A decoder's measures, from its config.json."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int

    @property
    def product_weights(self) -> int:
        """Weights that take part in matrix products, output layer included."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate) + self.vocab * self.hidden

    def flops_per_token(self, context: float, adapter: bool = False) -> float:
        """In training. ``context``: tokens that a token can look back on at most, averaged over tokens: the length of
        its sample."""
        attention = 12 * self.layers * self.heads * self.head_dim * context / 2
        return (4 if adapter else 6) * self.product_weights + attention


def read_shape(model: Path) -> Shape | None:
    """The measures of a model folder; None where its config.json has none of the usual ones (no MFU then)."""
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        heads = int(config["num_attention_heads"])
        return Shape(
            int(config["num_hidden_layers"]),
            int(config["hidden_size"]),
            heads,
            int(config.get("num_key_value_heads") or heads),
            int(config.get("head_dim") or config["hidden_size"] // heads),
            int(config["intermediate_size"]),
            int(config["vocab_size"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{model}/config.json cannot be read ({error}): is it a model's folder?") from None


def peak_tflops(gpu: str) -> float:
    """Of one GPU by the name its driver gives it; 0 for one that is not in the table."""
    for name, peak in PEAK_TFLOPS.items():
        if re.search(rf"(?<![A-Z0-9]){name}(?![0-9])", gpu):
            return peak
    return 0.0


def gpu_name() -> str:
    """The first GPU's name; "" where there is none."""
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter(done.stdout.strip().splitlines()), "")
