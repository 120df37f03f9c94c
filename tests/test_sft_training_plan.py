"""Predicted memory against runs that were measured, and what is advised when it does not fit."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.errors import ConfigError
from docduet import app
from sft.training import disk
from sft.training.cluster import Cluster
from sft.training.dataset import Lengths
from sft.training.flags import as_argv
from sft.training.folder import option
from sft.training.gpus import Gpu, Process
from sft.training.memory import GIB, lora_parameters, memory
from sft.training.model import QWEN3_8B, Shape, load_shape
from sft.training.parallel import layout
from sft.training.plan import Plan, checkpoint_gib, plan
from sft.training.recipe import Recipe, load_recipe, presets

ONE = Cluster(1, 1)
H200 = 139.8
SMALL_STATES = (
    "use_precision_aware_optimizer=true", "main_grads_dtype=bf16", "exp_avg_dtype=bf16", "exp_avg_sq_dtype=bf16",
)  # fmt: skip


def gib(recipe: Recipe, cluster: Cluster = ONE) -> float:
    return memory(recipe, QWEN3_8B, layout(recipe, cluster)).total / GIB


def planned(
    name: str, *settings: str, cluster: Cluster = ONE, limit: float = H200, lengths: Lengths | None = None
) -> Plan:
    return plan(load_recipe(name, settings), cluster, QWEN3_8B, limit, lengths)


@pytest.mark.parametrize(
    ("name", "settings", "measured"),
    [
        ("qwen3-8b-article-2gpu", ("tensor_model_parallel_size=1", *SMALL_STATES), 83),
        (
            "qwen3-8b-1gpu",
            ("cross_entropy_fusion_impl=native", "max_length=4096", "recompute_granularity=selective"),
            103,
        ),
        ("qwen3-8b-1gpu", ("cross_entropy_fusion_impl=native",), 126),
        ("qwen3-8b-1gpu", (), 120.6),
        ("qwen3-8b-fp8", (), 130.1),
        ("qwen3-8b-fp8", ("fp8_recipe=tensorwise",), 129),
        ("qwen3-8b-lora", (), 58.5),
    ],
)
def test_the_prediction_is_within_ten_per_cent_of_what_was_measured(
    name: str, settings: tuple[str, ...], measured: float
) -> None:
    """max_memory_reserved on one H200, Qwen3-8B's shape, ms-swift 4.6.0, megatron-core 0.16.1 (GiB)."""
    assert gib(load_recipe(name, settings)) == pytest.approx(measured, rel=0.1)


def test_the_run_that_ran_out_of_memory_does_not_fit() -> None:
    assert planned("qwen3-8b-1gpu").fits
    native = ("cross_entropy_fusion_impl=native", "fp8_format=hybrid", "fp8_recipe=tensorwise")
    assert not planned("qwen3-8b-1gpu", *native).fits


@pytest.mark.parametrize("name", [name for name in presets() if name.startswith("qwen3-8b")])
def test_every_recipe_for_the_8b_fits_the_machine_it_is_made_for(name: str) -> None:
    recipe = load_recipe(name)
    assert plan(recipe, Cluster(recipe.machine.nodes, recipe.machine.gpus), QWEN3_8B).fits


def test_parameters_are_those_of_the_real_models(tmp_path: Path) -> None:
    """Against the weights that Qwen publishes: 16,381,470,720 bytes of bf16, and 0.6B's with tied embeddings."""
    assert QWEN3_8B.parameters == 16_381_470_720 // 2
    small = {
        "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936, "tie_word_embeddings": True,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(small))
    assert load_shape(tmp_path).parameters == 596_049_920
    (tmp_path / "config.json").write_text(json.dumps({**small, "num_experts": 8}))
    with pytest.raises(ConfigError, match="mixture of experts"):
        load_shape(tmp_path)


def test_states_are_split_by_data_and_all_by_tensor_parallelism() -> None:
    one, eight = gib(load_recipe("qwen3-8b-8gpu")), gib(load_recipe("qwen3-8b-8gpu"), Cluster(1, 8))
    optimizer = QWEN3_8B.parameters * 6 / GIB
    assert one - eight == pytest.approx(optimizer * 7 / 8)
    halves = load_recipe("qwen3-8b-1gpu", ["tensor_model_parallel_size=2", "sequence_parallel=true"])
    assert gib(halves, Cluster(1, 2)) == pytest.approx(gib(load_recipe("qwen3-8b-1gpu")) / 2, rel=0.01)


@pytest.mark.parametrize(("name", "limit"), [("qwen3-8b-1gpu", 110), ("qwen3-8b-1gpu", 80), ("qwen3-8b-lora", 32)])
def test_what_is_advised_makes_it_fit(name: str, limit: float) -> None:
    first = planned(name, limit=limit)
    assert not first.fits
    assert first.advice
    settings = [one.removeprefix("--set ") for one in first.advice]
    second = planned(name, *settings, limit=limit)
    assert second.fits
    assert second.needed == pytest.approx(first.advised)


def test_the_cheapest_change_comes_first_and_nothing_needless() -> None:
    assert planned("qwen3-8b-1gpu", limit=110).advice == ("--set max_length=4096",)
    article = planned("qwen3-8b-article-2gpu", "tensor_model_parallel_size=1")
    assert article.advice[0] == "--set use_precision_aware_optimizer=true"
    assert not any("recompute" in one or "lora" in one for one in article.advice)


def test_max_length_is_not_advised_below_the_longest_sample() -> None:
    lengths = Lengths((6000, 100), 8192, (), True)
    assert not any("max_length" in one for one in planned("qwen3-8b-1gpu", limit=110, lengths=lengths).advice)


def test_nothing_is_advised_where_nothing_helps() -> None:
    assert planned("qwen3-8b-1gpu", limit=8).advice == ()


def test_a_checkpoint_is_estimated_alike_before_a_run_and_at_its_start(tmp_path: Path) -> None:
    """From the model's shape, and from its weights on disk; 10 to 16 bytes a trained parameter with Megatron's."""
    small = Shape(64, 2, 2, 1, 32, 128, 1024, True)
    (tmp_path / "config.json").write_text('{"dtype": "float32"}')
    (tmp_path / "model.safetensors").write_bytes(b"0" * 4 * small.parameters)
    assert disk.parameters(tmp_path) == small.parameters

    def of(name: str, *settings: str) -> float:
        recipe = load_recipe(name, settings)
        by_plan = checkpoint_gib(recipe, QWEN3_8B) * GIB
        argv = as_argv({key: value for key, value in recipe.flags.items() if key != "lora_rank"})
        trained = lora_parameters(16, QWEN3_8B) if recipe.adapter else QWEN3_8B.parameters
        assert by_plan == disk.checkpoint_bytes(partial(option, argv), recipe.backend, QWEN3_8B.parameters, trained)
        return by_plan / QWEN3_8B.parameters

    assert of("qwen3-8b-1gpu") == 10
    assert of("qwen3-8b-1gpu", "exp_avg_dtype=fp32", "exp_avg_sq_dtype=fp32") == 14
    assert of("qwen3-8b-1gpu", "use_precision_aware_optimizer=false") == 16
    assert of("qwen3-8b-1gpu", "no_save_optim=true") == 2
    assert of("tiny-cpu") == 12
    assert of("qwen3-8b-lora") == pytest.approx(0.08, abs=0.02)
    assert of("qwen3-8b-lora", "merge_lora=true") == pytest.approx(2.08, abs=0.02)


def test_time_follows_tokens_and_gpus() -> None:
    lengths = Lengths((1230,) * 8000, 8192, (), True)
    made = planned("qwen3-8b-1gpu", "num_train_epochs=1", lengths=lengths).duration
    assert made is not None
    assert made.seconds is not None
    assert made.tokens == 1230 * 8000
    assert made.tokens / made.seconds == pytest.approx(11_868, rel=0.05)  # as measured
    assert made.steps == pytest.approx(made.tokens / 8192 / 8, rel=0.05)
    article = planned("qwen3-8b-article-2gpu", "tensor_model_parallel_size=1", lengths=lengths).duration
    assert article is not None
    assert article.seconds is not None
    assert article.tokens / article.seconds == pytest.approx(4_900, rel=0.05)
    assert article.steps == 8000 * 5 // 16


def test_a_busy_gpu_is_named_with_who_is_on_it() -> None:
    busy = Gpu(0, "NVIDIA H200", H200, 60.0, "580", (Process(4711, "python3", 59.5),))
    notes = plan(load_recipe("qwen3-8b-1gpu"), ONE, QWEN3_8B, gpus=[busy]).notes
    assert any("process 4711 (python3) 59.5 GiB" in note for note in notes)


def test_the_command_prints_a_verdict_and_its_exit_code_follows(tmp_path: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(app, ["sft", "plan", "--recipe", "qwen3-8b-1gpu"])
    assert good.exit_code == 0
    assert "it fits" in good.stdout
    train = tmp_path / "own.jsonl"
    train.write_text('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n')
    words = ["sft", "plan", "--recipe", "qwen3-8b-1gpu", "--gpu-memory", "80", "--dataset", str(train), "--json"]
    bad = runner.invoke(app, words)
    assert bad.exit_code == 1
    made = json.loads(bad.stdout)
    assert (made["fits"], made["dataset"]["samples"], made["dataset"]["exact"]) == (False, 1, False)
    assert made["memory_gib"]["total"] == pytest.approx(126, rel=0.1)
    assert made["advice"]
