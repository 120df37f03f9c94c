"""A Qwen3 of transformers, and a fast forward pass of ours over packed rows on its very weights.

What is trained is transformers' Qwen3ForCausalLM, so that what is saved loads wherever a Qwen3 does. `Body` walks its
modules itself, because several documents share a row and none may see another: with flex attention on a GPU, with a
dense mask elsewhere. The tests hold it against transformers' own forward pass. What is compiled is one layer, which all
layers share: that takes seconds, where compiling the whole takes a minute of the GPU's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 128  # tokens; flex attention skips blocks of this size that the mask leaves empty


def make(sizes: Mapping[str, Any], tokenizer: Any, seed: int) -> Any:
    """A Qwen3ForCausalLM with random weights in float32. ``sizes``: [model] of config.toml."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    given = dict(sizes)
    theta = given.pop("rope_theta")
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            rope_parameters={"rope_type": "default", "rope_theta": theta},
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            use_cache=False,
            **given,
        )
    )
    with torch.no_grad():  # what each layer adds to the stream starts small, as in GPT-2
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.mul_((2 * model.config.num_hidden_layers) ** -0.5)
    return model


def load(folder: Path) -> Any:
    """A saved model, its weights in float32."""
    from transformers import Qwen3ForCausalLM

    return Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)


def save(model: Any, folder: Path, shard: str = "15MB") -> None:
    """Write ``model`` in bfloat16, in shards that travel in small parts."""
    from transformers import Qwen3ForCausalLM

    half = Qwen3ForCausalLM(model.config).to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.config.dtype = torch.bfloat16
    half.save_pretrained(folder, max_shard_size=shard)


def parameters(model: Any) -> int:
    """How many numbers a model holds; tied weights count once."""
    return sum(weight.numel() for weight in model.parameters())


class Body(nn.Module):
    """Token ids (rows, tokens) -> hidden states (rows, tokens, hidden) after the last norm.

    ``docs``: the number of the document that each token belongs to, growing along a row. ``flex``: the mask is flex
    attention's BlockMask, else a boolean tensor (rows, 1, tokens, tokens), True where a token may look. ``compiled``:
    options of torch.compile for a layer; None runs it as it is.
    """

    def __init__(self, model: Any, flex: bool, compiled: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model = model
        self.flex = flex
        self._one = self._layer if compiled is None else torch.compile(self._layer, **compiled)
        config = model.config
        theta = config.rope_parameters["rope_theta"]
        steps = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        self.register_buffer("frequencies", theta**-steps, persistent=False)

    def forward(self, ids: Tensor, positions: Tensor, mask: Any) -> Tensor:
        inner = self.model.model
        x = F.embedding(ids, inner.embed_tokens.weight)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        angles = positions[..., None].float() * self.frequencies
        angles = torch.cat((angles, angles), dim=-1)[:, None]
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in inner.layers:
            x = self._one(layer, x, cos, sin, mask)
        return inner.norm(x)

    def _layer(self, layer: Any, x: Tensor, cos: Tensor, sin: Tensor, mask: Any) -> Tensor:
        x = x + self._attend(layer.self_attn, layer.input_layernorm(x), cos, sin, mask)
        return x + layer.mlp(layer.post_attention_layernorm(x))

    def _attend(self, part: Any, x: Tensor, cos: Tensor, sin: Tensor, mask: Any) -> Tensor:
        rows, tokens, _ = x.shape
        split = (rows, tokens, -1, part.head_dim)
        v = part.v_proj(x).view(split).transpose(1, 2)
        q = _turn(part.q_norm(part.q_proj(x).view(split)).transpose(1, 2), cos, sin).to(v.dtype)
        k = _turn(part.k_norm(part.k_proj(x).view(split)).transpose(1, 2), cos, sin).to(v.dtype)
        if self.flex:
            from torch.nn.attention.flex_attention import flex_attention

            seen = flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
        else:
            seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        assert isinstance(seen, Tensor)
        return part.o_proj(seen.transpose(1, 2).reshape(rows, tokens, -1))


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864), halves as in Llama and Qwen."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def positions_of(docs: Tensor) -> Tensor:
    """Each token's place in its own document, from 0. ``docs`` (rows, tokens)."""
    here = torch.arange(docs.shape[1], device=docs.device).expand_as(docs)
    starts = torch.ones_like(docs, dtype=torch.bool)
    starts[:, 1:] = docs[:, 1:] != docs[:, :-1]
    return here - torch.where(starts, here, 0).cummax(dim=1).values


def dense_mask(docs: Tensor) -> Tensor:
    """(rows, 1, tokens, tokens), True where a token may look: backwards, within its document."""
    tokens = docs.shape[1]
    causal = torch.ones(tokens, tokens, dtype=torch.bool, device=docs.device).tril()
    return ((docs[:, :, None] == docs[:, None, :]) & causal)[:, None]


_block_mask: Any = None


def flex_mask(docs: Tensor) -> Any:
    """The same for flex attention."""
    from torch.nn.attention.flex_attention import create_block_mask

    global _block_mask
    _block_mask = _block_mask or torch.compile(create_block_mask, dynamic=False)  # one shape: never compiled anew

    def looks(row: Tensor, _: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (q >= k) & (docs[row, q] == docs[row, k])

    rows, tokens = docs.shape
    return _block_mask(looks, rows, None, tokens, tokens, device=docs.device, BLOCK_SIZE=BLOCK)


def losses(hidden: Tensor, head: Tensor, picked: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (float32) of the tokens after the places ``picked`` (indexes into rows * tokens)."""
    logits = F.linear(hidden.reshape(-1, hidden.shape[-1]).index_select(0, picked), head)
    return F.cross_entropy(logits.float(), targets, reduction="none")
