"""The CPU plugin's arithmetic against vLLM's own, on batches of several requests."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from serving.engines import lora_on_cpu

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]  # importing vLLM takes a minute on a busy machine

ADAPTERS, RANK, WIDE, SLICES = 2, 4, 6, (5, 3, 3)
BATCHES = {
    "one adapter": (7, 7, 7, 7),
    "one token": (9,),
    "none": (0, 0, 0),
    "two and none": (7, 7, 0, 9, 9, 9, 0, 7),
}


def both(batch: tuple[int, ...]) -> tuple[Any, Any]:
    """vLLM's own wrapper and ours, told of a batch of these adapters (7 and 9; 0: none)."""
    from vllm.lora.layers import LoRAMapping
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    from serving.engines.lora_products import LoraProducts

    made = [kind(64, 8, "cpu") for kind in (PunicaWrapperCPU, LoraProducts)]
    for wrapper in made:
        wrapper.update_metadata(LoRAMapping(batch, batch, is_prefill=True), [7, 9], ADAPTERS, 100)
    return made[0], made[1]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
def test_it_adds_what_vllm_adds(batch: tuple[int, ...], dtype: str) -> None:
    import torch

    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        theirs, ours = both(batch)
        x, y = torch.randn(len(batch), WIDE), torch.randn(len(batch), sum(SLICES))
        a = tuple(torch.randn(ADAPTERS, 1, RANK, WIDE) for _ in SLICES)
        b = tuple(torch.randn(ADAPTERS, 1, width, RANK) for width in SLICES)
        for scale in (1.0, 0.5):
            same(batch, theirs.add_lora_linear, ours.add_lora_linear, y, x, a, b, scale, SLICES)
        head = torch.randn(ADAPTERS, 1, sum(SLICES) - 2, RANK)  # the model pads its vocabulary
        same(batch, theirs.add_lora_logits, ours.add_lora_logits, y, x, a[0], head, 1.0)
        square = torch.randn(ADAPTERS, 1, sum(SLICES), RANK)
        same(batch, theirs.add_lora_embedding, ours.add_lora_embedding, y, torch.randn(len(batch), RANK), square)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("model", "adapter"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_model_and_adapter_may_differ_in_precision(model: str, adapter: str) -> None:
    import torch

    torch.manual_seed(0)
    batch = BATCHES["two and none"]
    theirs, ours = both(batch)
    wide, narrow = getattr(torch, model), getattr(torch, adapter)
    x, y = torch.randn(8, WIDE, dtype=wide), torch.randn(8, 5, dtype=wide)
    a, b = torch.randn(ADAPTERS, 1, RANK, WIDE, dtype=narrow), torch.randn(ADAPTERS, 1, 5, RANK, dtype=narrow)
    same(batch, theirs.add_lora_linear, ours.add_lora_linear, y, x, (a,), (b,), 1.0, (5,))


def same(batch: tuple[int, ...], theirs: Any, ours: Any, y: Any, *args: Any) -> None:
    """Both change rows that have an adapter alike; ours leaves the others, where vLLM adds the last adapter."""
    import torch

    results = [y.clone(), y.clone()]
    theirs(results[0], *args)
    ours(results[1], *args)
    has = torch.tensor(batch) > 0
    rounded = {"rtol": 0.02, "atol": 0.02} if y.dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(results[1][has], results[0][has], **rounded)
    assert torch.equal(results[1][~has], y[~has])
    assert not has.any() or not torch.equal(results[1][has], y[has])


def test_vllm_finds_it_and_takes_it() -> None:
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    name = "docduet_lora_on_cpu"
    value = project["entry-points"]["vllm.general_plugins"][name]
    assert EntryPoint(name, value, "vllm.general_plugins").load() is lora_on_cpu.register
    from vllm.lora.punica_wrapper.punica_selector import get_punica_wrapper
    from vllm.platforms import current_platform

    from serving.engines.lora_products import LoraProducts

    platform = type(current_platform)
    before = platform.__dict__["get_punica_wrapper"]
    try:
        lora_on_cpu.register()
        assert isinstance(get_punica_wrapper(64, max_batches=8, device="cpu"), LoraProducts)
    finally:
        platform.get_punica_wrapper = before


def test_a_vllm_that_is_built_otherwise_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from vllm.lora.punica_wrapper.punica_base import PunicaWrapperBase
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
    from vllm.platforms import current_platform

    before = type(current_platform).__dict__["get_punica_wrapper"]
    for kind in (PunicaWrapperCPU, PunicaWrapperBase):
        monkeypatch.delattr(kind, "add_lora_embedding", raising=False)
    from vllm.lora.punica_wrapper.punica_base import PunicaWrapperABC

    monkeypatch.delattr(PunicaWrapperABC, "add_lora_embedding")
    lora_on_cpu.register()
    assert type(current_platform).__dict__["get_punica_wrapper"] is before
    assert "as slow as vLLM makes them" in caplog.text
