"""The CPU plugin's arithmetic against vLLM's own."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from serving.engines import lora_on_cpu as ours

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("indices", [[1, 1, 1, 1], [0, 1, 1, 0]])
@pytest.mark.parametrize("nested", [True, False])
def test_it_gives_what_vllm_gives(indices: list[int], nested: bool) -> None:
    import torch
    from vllm.lora.ops.torch_ops import lora_ops as theirs

    torch.manual_seed(0)
    which = torch.tensor(indices)
    x, a, b = torch.randn(4, 6), torch.randn(2, 1, 3, 6), torch.randn(2, 1, 5, 3)
    a, b = (a, b) if nested else (a.squeeze(1), b.squeeze(1))
    shrunk = [torch.randn(4, 3).fill_(7) for _ in range(2)]
    theirs.bgmv_shrink(x, a, shrunk[0], which, 0.5)
    ours.bgmv_shrink(x, a, shrunk[1], which, 0.5)
    torch.testing.assert_close(shrunk[1], shrunk[0])
    for add in (True, False):
        for width in (5, 7):  # the model may pad its output
            out = [torch.ones(4, width) for _ in range(2)]
            theirs.bgmv_expand(shrunk[0], b, out[0], which, add)
            ours.bgmv_expand(shrunk[0], b, out[1], which, add)
            torch.testing.assert_close(out[1][:, :5], out[0][:, :5])
        out = [torch.ones(4, 9) for _ in range(2)]
        theirs.bgmv_expand_slice(shrunk[0], b, out[0], which, 2, 5, add)
        ours.bgmv_expand_slice(shrunk[0], b, out[1], which, 2, 5, add)
        torch.testing.assert_close(out[1], out[0])


def test_a_token_without_adapter_gets_nothing() -> None:
    import torch

    x, a, b = torch.randn(2, 6), torch.randn(1, 3, 6), torch.randn(1, 5, 3)
    shrunk, out = torch.ones(2, 3), torch.ones(2, 5)
    ours.bgmv_shrink(x, a, shrunk, torch.tensor([-1, 0]))
    assert not shrunk[0].any()
    assert shrunk[1].any()
    ours.bgmv_expand(shrunk, b, out, torch.tensor([-1, 0]))
    assert (out[0] == 1).all()


def test_vllm_finds_it_and_takes_it() -> None:
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"]["vllm.general_plugins"].items()
    assert EntryPoint(name, value, "vllm.general_plugins").load() is ours.register
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    before = lora_ops.bgmv_shrink, lora_ops.bgmv_expand, lora_ops.bgmv_expand_slice
    try:
        ours.register()
        for module in (lora_ops, punica_cpu):
            assert module.bgmv_shrink is ours.bgmv_shrink
            assert module.bgmv_expand_slice is ours.bgmv_expand_slice
    finally:
        for module in (lora_ops, punica_cpu):
            module.bgmv_shrink, module.bgmv_expand, module.bgmv_expand_slice = before
