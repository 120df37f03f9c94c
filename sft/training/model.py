"""A language model in numbers: what its config.json says, and how many parameters that makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError


@dataclass(frozen=True)
class Shape:
    """A decoder with grouped-query attention and a gated MLP (Qwen2, Qwen3, Llama, Mistral)."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    tied: bool

    @property
    def q(self) -> int:
        """Width of all queries, and of the attention's output."""
        return self.heads * self.head_dim

    @property
    def kv(self) -> int:
        """Width of all keys; as much again for the values."""
        return self.kv_heads * self.head_dim

    @property
    def layer(self) -> int:
        """Parameters of one layer's four linear maps; its norms (0.01 % of them) are counted in ``parameters``."""
        return self.hidden * (2 * self.q + 2 * self.kv) + 3 * self.hidden * self.ffn

    @property
    def embedding(self) -> int:
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        norms = self.layers * (2 * self.hidden + 2 * self.head_dim) + self.hidden
        return self.layers * self.layer + norms + self.embedding * (1 if self.tied else 2)

    def flops_per_token(self, sequence: int) -> float:
        """Of training: forward and twice that backward, 2 a parameter, and causal attention over ``sequence`` tokens.

        Narayanan et al. 2021 (arXiv 2104.04473), equation 3, without recomputing, halved for the causal mask.
        """
        linear = self.layers * self.layer + self.embedding
        return 6 * linear + 6 * self.layers * self.q * sequence


QWEN3_8B = Shape(4096, 36, 32, 8, 128, 12288, 151936, False)
"""https://huggingface.co/Qwen/Qwen3-8B/blob/main/config.json"""

_KEYS = {
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "ffn": "intermediate_size",
    "vocab": "vocab_size",
}


def load_shape(folder: Path | None) -> Shape:
    """Of the model in ``folder``; Qwen3-8B's without one. Raises ConfigError."""
    if folder is None:
        return QWEN3_8B
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no config.json in {folder}: it must be a Hugging Face model's folder") from None
    except ValueError as error:
        raise ConfigError(f"{folder}/config.json is not JSON ({error}); fetch the model again") from None
    return shape_of(config, folder)


def shape_of(config: Mapping[str, object], folder: Path) -> Shape:
    missing = [key for key in _KEYS.values() if not isinstance(config.get(key), int)]
    if missing:
        raise ConfigError(f"{folder}/config.json has no {missing[0]}: the plan knows dense decoders such as Qwen3")
    if config.get("num_experts") or config.get("n_routed_experts") or config.get("num_local_experts"):
        raise ConfigError(f"{folder} is a mixture of experts; the plan knows dense decoders such as Qwen3")
    read = {name: int(str(config[key])) for name, key in _KEYS.items()}
    heads = read["heads"]
    return Shape(
        **read,
        kv_heads=int(str(config.get("num_key_value_heads") or heads)),
        head_dim=int(str(config.get("head_dim") or read["hidden"] // heads)),
        tied=bool(config.get("tie_word_embeddings", False)),
    )
