"""The CPU plugin's attention against vLLM's own kernel, and what it leaves to vLLM."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from serving.engines import attention_on_cpu as ours

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]  # importing vLLM takes a minute on a busy machine

HEADS, KEY_HEADS, SIZE, BLOCK = 6, 2, 64, 128


@pytest.fixture
def backend() -> Iterator[Any]:
    """vLLM's class, its own way of reading put back afterwards."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackendImpl as Backend

    before = Backend.forward
    yield Backend
    Backend.forward = before


def step(backend: Any, lengths: list[int], cached: int = 0, dtype: str = "float32", **unlike: Any) -> Any:
    """What one step over prompts of ``lengths`` gives in a layer, of which the first has ``cached`` tokens already."""
    import torch
    from vllm import _custom_ops as ops

    torch.manual_seed(sum(lengths))
    kind, rows = getattr(torch, dtype), sum(lengths)
    query = torch.randn(rows, HEADS, SIZE, dtype=kind)
    key, value = torch.randn(2, rows + cached, KEY_HEADS, SIZE, dtype=kind).unbind()
    blocks = -(-(max(lengths) + cached) // BLOCK)
    table = torch.arange(blocks * len(lengths), dtype=torch.int32).view(len(lengths), blocks)
    cache = torch.zeros(table.numel(), KEY_HEADS, BLOCK, 2 * SIZE, dtype=kind)
    ends = [length + (cached if n == 0 else 0) for n, length in enumerate(lengths)]
    slots = torch.cat([torch.arange(end) + n * blocks * BLOCK for n, end in enumerate(ends)])
    layer = SimpleNamespace(isa="vec", _k_scale_float=1.0, _v_scale_float=1.0)
    self = backend.__new__(backend)
    vars(self).update(ours.PLAIN, kv_cache_dtype="auto", use_zentorch_sdpa=False, scale=SIZE**-0.5, **unlike)
    self.do_kv_cache_update(layer, key, value, cache, slots)
    starts = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    plan = ops.cpu_attn_get_scheduler_metadata(
        num_reqs=len(lengths), num_heads=HEADS, num_kv_heads=KEY_HEADS, head_dim=SIZE,
        seq_lens=torch.tensor(ends, dtype=torch.int32), dtype=kind, query_start_loc=starts, causal=True,
        sliding_window_size=-1, isa="vec", enable_kv_split=True, dynamic_causal=None, kv_cache_dtype="auto",
    )  # fmt: skip
    metadata = SimpleNamespace(
        num_actual_tokens=rows, max_query_len=max(lengths), max_seq_len=max(ends), query_start_loc=starts,
        seq_lens=torch.tensor(ends, dtype=torch.int32), block_table=table, slot_mapping=slots, causal=True,
        scheduler_metadata=plan, dynamic_causal=None,
    )  # fmt: skip
    output = torch.full((rows + 3, HEADS, SIZE), 7.0, dtype=kind)  # vLLM may pad
    fresh = slice(cached, None)
    self.forward(layer, query, key[fresh], value[fresh], cache, metadata, output)
    return output


STEPS: dict[str, tuple[dict[str, Any], bool]] = {
    "a whole prompt": ({"lengths": [300]}, True),
    "two tokens": ({"lengths": [2]}, True),
    "a token of an answer": ({"lengths": [1], "cached": 200}, False),
    "after a cached beginning": ({"lengths": [150], "cached": 128}, False),
    "two prompts": ({"lengths": [90, 60]}, False),
    "another precision": ({"lengths": [100], "dtype": "bfloat16"}, False),
    "a window": ({"lengths": [100], "sliding_window": 32}, False),
}


@pytest.mark.parametrize(("given", "asked"), STEPS.values(), ids=STEPS.keys())
def test_it_gives_what_vllm_gives(
    backend: Any, given: dict[str, Any], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from vllm.platforms import current_platform

    current_platform.import_kernels()
    theirs = step(backend, **given)
    attend, calls = ours.attend, []
    monkeypatch.setattr(ours, "attend", lambda *args: calls.append(args) or attend(*args))
    ours.register()
    ours.register()  # once is enough
    torch.testing.assert_close(step(backend, **given), theirs, rtol=1e-4, atol=1e-5)
    assert len(calls) == asked


def test_vllm_finds_it() -> None:
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    name = "docduet_attention_on_cpu"
    value = project["entry-points"]["vllm.general_plugins"][name]
    assert EntryPoint(name, value, "vllm.general_plugins").load() is ours.register
