"""The plugin states_as_they_are without Megatron: an optimizer of Transformer Engine's shape. On a GPU, with the real
one: test_sft_training_megatron_large.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sft.training.plugin import states_as_they_are as plugin
from sft.training.recipe import load_recipe
from tests.test_sft_training_launch import launched

BF16 = torch.bfloat16


class Adam(torch.optim.Optimizer):
    """States as FusedAdam keeps them with bf16 moments and the rest of the master weights in int16."""

    store_param_remainders = True

    def __init__(self, params: list[torch.Tensor], moments: torch.dtype = BF16) -> None:
        super().__init__(params, {"lr": 0.1})
        self.moments = moments

    def initialize_state(self, param: torch.Tensor, store_param_remainders: bool) -> None:
        assert store_param_remainders
        for name in ("exp_avg", "exp_avg_sq"):
            self.state[param][name] = torch.zeros_like(param, dtype=self.moments)
        self.state[param]["master_param"] = torch.zeros_like(param, dtype=torch.int16)

    def get_unscaled_state(self, param: torch.Tensor, name: str) -> torch.Tensor:
        return self.state[param][name].float()

    def set_scaled_state(self, param: torch.Tensor, name: str, value: torch.Tensor) -> None:
        assert value.dtype == torch.float32
        self.state[param][name] = value.to(self.moments)


def optimizer(moments: torch.dtype = BF16) -> tuple[Any, torch.Tensor]:
    param = torch.ones(4, dtype=BF16)
    adam = Adam([param], moments)
    plugin.make_states(adam)
    return adam, param


def test_states_are_handed_out_and_written_in_place() -> None:
    adam, param = optimizer()
    given = plugin.states_of(adam, param)
    assert {name: value.dtype for name, value in given.items()} == {
        "param": torch.int16,
        "exp_avg": BF16,
        "exp_avg_sq": BF16,
    }
    assert all(given[name] is adam.state[param][own] for name, own in plugin.SAVED_AS.items())
    before = adam.state[param]["exp_avg"]
    plugin.set_states(adam, param, {"exp_avg": torch.full((4,), 0.5), "padding": False})
    assert adam.state[param]["exp_avg"] is before
    assert before.tolist() == [0.5] * 4


def test_states_with_a_scale_go_through_transformer_engine() -> None:
    adam, param = optimizer(torch.float16)
    given = plugin.states_of(adam, param)
    assert given["exp_avg"].dtype == torch.float32
    assert not plugin.all_plain(adam)
    plugin.set_states(adam, param, {"exp_avg": torch.full((4,), 0.5)})
    assert adam.state[param]["exp_avg"].dtype == torch.float16


def test_states_are_made_once() -> None:
    adam, param = optimizer()
    adam.state[param]["exp_avg"].fill_(1)
    plugin.make_states(adam)
    assert adam.state[param]["exp_avg"].tolist() == [1] * 4


def test_the_step_and_the_rates_come_back() -> None:
    adam, _ = optimizer()
    plugin.set_groups(adam, {"param_groups": [{"lr": 0.5, "step": 7, "params": [0]}]})
    assert (adam.param_groups[0]["lr"], adam.param_groups[0]["step"]) == (0.5, 7)
    assert isinstance(adam.param_groups[0]["params"][0], torch.Tensor)


@pytest.mark.parametrize("recipe", ["qwen3-8b-1gpu", "qwen3-8b-fp8", "qwen3-8b-8gpu"])
def test_runs_with_such_an_optimizer_load_it(recipe: str) -> None:
    assert load_recipe(recipe, ()).flags["use_precision_aware_optimizer"]
    assert "states_as_they_are.py" in " ".join(launched(recipe).argv)
    assert "states_as_they_are.py" not in " ".join(launched(recipe, "use_precision_aware_optimizer=false").argv)


def test_rotary_embedding_is_found_where_transformers_5_keeps_it() -> None:
    from transformers import Qwen3Config

    from sft.training.plugin.rope_of_transformers import with_theta

    config = Qwen3Config(rope_theta=5e5, head_dim=64)
    assert not hasattr(config, "rope_theta")
    assert (with_theta(config).rope_theta, with_theta(config).head_dim) == (5e5, 64)
    old = SimpleNamespace(rope_theta=1e6)
    assert with_theta(old) is old
