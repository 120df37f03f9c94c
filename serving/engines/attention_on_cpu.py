"""A plugin of vLLM's CPU build: a whole prompt is read by PyTorch's attention.

On a processor with AVX2 alone, in float32, vLLM 0.32's own kernel takes more than twice as long (benchmarks/LOG.md).
Everything else stays with vLLM: tokens of an answer, prompts read in pieces or after a cached beginning, several
requests in one step, other precisions. vLLM finds `register` by its entry point and calls it in each of its processes;
on anything but a CPU, or with a vLLM that is built otherwise, it changes nothing. Results stay the same.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

PLAIN = {"alibi_slopes": None, "sliding_window": -1, "logits_soft_cap": 0, "sinks": None, "attn_type": "decoder"}
"""What an attention layer has that is nothing but attention."""


def register() -> None:
    """Ask PyTorch first, where vLLM runs on a CPU."""
    try:
        from vllm.platforms import current_platform

        if not current_platform.is_cpu():
            return
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackendImpl

        backend: Any = CPUAttentionBackendImpl
        theirs = backend.forward
    except (ImportError, AttributeError) as error:
        log.warning("prompts are read on this CPU as slowly as vLLM does: %s", error)
        return
    if theirs.__module__ == __name__:  # named before
        return

    def forward(
        self: Any,
        layer: Any,
        query: Any,
        key: Any,
        value: Any,
        kv_cache: Any,
        attn_metadata: Any,
        output: Any,
        *rest: Any,
        **more: Any,
    ) -> Any:
        if attn_metadata is not None and not rest and not any(more.values()) and whole(self, query, attn_metadata):
            return attend(query, key, value, output, attn_metadata.num_actual_tokens, self.scale)
        return theirs(self, layer, query, key, value, kv_cache, attn_metadata, output, *rest, **more)

    backend.forward = forward


def whole(attention: Any, query: Any, metadata: Any) -> bool:
    """Whether this step is one plain prompt in float32 from its first token to its last."""
    import torch

    rows = metadata.num_actual_tokens
    return (
        rows > 1
        and metadata.max_query_len == metadata.max_seq_len == rows
        and metadata.causal is True
        and query.dtype == torch.float32
        and all(getattr(attention, name) == plain for name, plain in PLAIN.items())
    )


def attend(query: Any, key: Any, value: Any, output: Any, rows: int, scale: float) -> Any:
    """Causal attention of (tokens, heads, size) into the first ``rows`` of ``output``, whose key heads may be fewer."""
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (part[:rows].transpose(0, 1).unsqueeze(0) for part in (query, key, value))
    made = scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=q.shape[1] != k.shape[1])
    output[:rows].copy_(made[0].transpose(0, 1).reshape(output[:rows].shape))
    return output
