"""From recipe, dataset and model to the exact command line, on one node or several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from data.errors import ConfigError
from docduet import app
from sft.tokens import Estimate
from sft.training.cluster import Cluster, find_cluster, first_host
from sft.training.dataset import TrainingData, check_lengths, measure, open_dataset
from sft.training.flags import table
from sft.training.launch import ALLOCATOR, HOOK, Launch, launch, other_nodes
from sft.training.recipe import FOLDER, load_recipe, presets

DATA = TrainingData(Path("/d/train.jsonl"), Path("/d/val.jsonl"), 10, 0)
SAMPLE = {"messages": [{"role": "user", "content": "Port?"}, {"role": "assistant", "content": "It is 7860."}]}


def launched(name: str, *settings: str, cluster: Cluster | None = None, **options: Any) -> Launch:
    recipe = load_recipe(name, settings)
    cluster = cluster or Cluster(recipe.machine.nodes, recipe.machine.gpus, 0, "gpu1")
    return launch(recipe, DATA, cluster, model=Path("/m"), folder=Path("/r"), python="py", **options)


def allocator(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if "ALLOC_CONF" in name}


def options(one: Launch) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in one.argv[4:]:
        if word.startswith("--"):
            found[word[2:]] = []
        else:
            list(found.values())[-1].append(word)
    return found


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "data set"
    folder.mkdir()
    for name in ("train", "val"):
        (folder / f"{name}.jsonl").write_text(json.dumps(SAMPLE) + "\n")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    inner = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    inner.save(str(folder / "tokenizer.json"))
    return folder


def cli(line: str, *words: str, env: dict[str, str] | None = None) -> Result:
    """`docduet sft` LINE WORDS."""
    return CliRunner().invoke(app, ["sft", *line.split(), *words], env={"DOCDUET_HOME": "/nowhere", **(env or {})})


# Recipes


@pytest.mark.parametrize("name", presets())
def test_every_shipped_recipe_becomes_a_command_line_that_ms_swift_knows(name: str) -> None:
    one, recipe = launched(name), load_recipe(name)
    given = options(one)
    assert given.keys() <= table(recipe.backend).keys()
    for flag, values in given.items():
        assert len(values) == 1 or table(recipe.backend)[flag].many, flag
    assert given["template"] == given["model_type"] == ["qwen3"]
    assert one.world_size == max(1, recipe.machine.nodes * recipe.machine.gpus)
    assert one.env["HF_HUB_OFFLINE"] == "1"
    assert given["check_model"] == ["false"]
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.count("#") >= 3  # commented


def test_the_articles_command_word_for_word() -> None:
    one = launched("qwen3-8b-article-2gpu")
    assert " ".join(one.argv) == (
        "py -m swift.cli._megatron.main sft --model /m --dataset /d/train.jsonl --val_dataset /d/val.jsonl "
        "--output_dir /r --check_model false --model_type qwen3 --template qwen3 --tuner_type full "
        "--torch_dtype bfloat16 --tensor_model_parallel_size 2 --sequence_parallel true --micro_batch_size 2 "
        "--global_batch_size 16 --recompute_granularity full --recompute_method uniform --recompute_num_layers 3 "
        "--attention_backend fused --cross_entropy_loss_fusion true --num_train_epochs 5 --lr 1e-05 --min_lr 1e-06 "
        "--lr_warmup_fraction 0.05 --max_length 2048 --packing false --save_steps 200 --eval_steps 200 "
        "--no_save_optim true --no_save_rng true --logging_steps 1 --dataloader_num_workers 4 --dataset_num_proc 4 "
        f"--add_version true --external_plugins {HOOK} --callbacks stop_on_request"
    )
    assert one.env == {
        "CUDA_DEVICE_MAX_CONNECTIONS": "1", "HF_HUB_OFFLINE": "1", "NPROC_PER_NODE": "2", "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1", "DOCDUET_STOP_FILE": "/r/stop",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }  # fmt: skip
    assert (one.global_batch_size, one.tokens_per_step, one.max_length) == (16, None, 2048)


@pytest.mark.parametrize("name", presets())
def test_megatron_gets_an_allocator_that_leaves_no_gaps_and_the_cpu_none(name: str) -> None:
    grows = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    assert allocator(launched(name).env) == (grows if load_recipe(name).backend == "megatron" else {})


@pytest.mark.parametrize("name", ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"])
@pytest.mark.parametrize("value", ["max_split_size_mb:512", ""])
def test_the_users_own_allocator_wins(name: str, value: str, tmp_path: Path) -> None:
    """Under either name, also when empty: torch would take PYTORCH_CUDA_ALLOC_CONF before the new name."""
    assert allocator(launched("qwen3-8b-1gpu", environ={name: value, "HOME": "/h"}).env) == {name: value}
    own = tmp_path / "own.yaml"
    text = (FOLDER / "qwen3-8b-1gpu.yaml").read_text(encoding="utf-8")
    own.write_text(f"{text}\nenv: {{{name}: '{value}'}}\n", encoding="utf-8")
    assert allocator(launched(str(own)).env) == {name: value}


def test_a_dry_run_shows_the_allocator_that_a_run_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "train --recipe tiny-gpu --dataset /no/d --model /no/m --out /no/r --dry-run"
    for name in ALLOCATOR:
        monkeypatch.delenv(name, raising=False)
    assert "\nPYTORCH_CUDA_ALLOC_CONF=expandable_segments:True \\\n" in cli(line).stdout
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:512")
    assert "\nPYTORCH_ALLOC_CONF=max_split_size_mb:512 \\\n" in cli(line).stdout
    assert allocator(json.loads(cli(f"{line} --json").stdout)["nodes"][0]["env"]) == {
        "PYTORCH_ALLOC_CONF": "max_split_size_mb:512"
    }


def test_packed_sequences_say_how_many_tokens_a_step_has() -> None:
    assert launched("qwen3-8b-1gpu").tokens_per_step == 8 * 8192
    assert launched("qwen3-8b-1gpu", "packing_length=4096").max_length == 4096


def test_without_validation_samples_none_are_split_off() -> None:
    recipe = load_recipe("tiny-cpu")
    data = TrainingData(Path("/d/train.jsonl"), None, 10, 0)
    given = options(launch(recipe, data, Cluster(1, 0), model=Path("/m"), folder=Path("/r")))
    assert given["split_dataset_ratio"] == ["0.0"]
    assert "val_dataset" not in given


@pytest.mark.parametrize("name", presets())
def test_without_validation_samples_nothing_asks_for_an_evaluation(name: str) -> None:
    recipe = load_recipe(name, ["eval_steps=7"])
    cluster = Cluster(recipe.machine.nodes, recipe.machine.gpus, 0, "gpu1")
    with_val, without = (
        options(launch(recipe, data, cluster, model=Path("/m"), folder=Path("/r")))
        for data in (DATA, TrainingData(DATA.train, None, 10, 0))
    )
    assert with_val.keys() - without.keys() == {"val_dataset", "eval_steps"}
    assert without.keys() - with_val.keys() == {"split_dataset_ratio"}
    assert {key: without[key] for key in without.keys() & with_val.keys()} == {
        key: with_val[key] for key in without.keys() & with_val.keys()
    }


def test_a_recipe_that_splits_off_samples_itself_keeps_its_evaluation() -> None:
    recipe = load_recipe("tiny-cpu", ["split_dataset_ratio=0.1"])
    data = TrainingData(Path("/d/train.jsonl"), None, 10, 0)
    given = options(launch(recipe, data, Cluster(1, 0), model=Path("/m"), folder=Path("/r")))
    assert (given["split_dataset_ratio"], given["eval_steps"]) == (["0.1"], ["100"])


def test_the_cpu_uses_gloo_between_nodes_and_sees_no_gpu() -> None:
    one = launched("tiny-cpu", cluster=Cluster(2, 0, 1, "127.0.0.1", 29600))
    assert options(one)["ddp_backend"] == ["gloo"]
    assert one.argv[1:4] == ("-m", "swift.cli.main", "sft")
    assert (one.env["CUDA_VISIBLE_DEVICES"], one.env["NPROC_PER_NODE"], one.env["NODE_RANK"]) == ("", "1", "1")
    assert (one.world_size, one.global_batch_size) == (2, 16)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flgs": {}}, "unknown key flgs; did you mean flags"),
        ({"description": None}, "description"),
        ({"backend": "nemo"}, "backend: Input should be 'megatron' or 'swift'"),
        ({"machine": {"gpus": 2}}, "the key machine.memory is missing"),
        ({"flags": {"output_dir": "x"}}, "output_dir does not belong into a recipe; give --out"),
        ({"flags": {"save_interval": 5}}, "it is called save_steps now"),
    ],
)
def test_a_wrong_recipe_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "description": "x", "backend": "megatron", "machine": {"gpus": 1, "memory": 80}, "flags": {"lr": 1e-5},
    }  # fmt: skip
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps(good))
    assert load_recipe(str(path)).name == "own"
    path.write_text(json.dumps({**good, **change}))
    with pytest.raises(ConfigError, match=said):
        load_recipe(str(path))


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean qwen3-8b-lora"):
        load_recipe("qwen3-8b-lorra")


def test_a_number_of_steps_takes_the_place_of_a_number_of_epochs() -> None:
    """ms-swift would take the epochs where it is given both."""
    flags = load_recipe("qwen3-8b-1gpu", ["train_iters=8"]).flags
    assert flags["train_iters"] == 8
    assert "num_train_epochs" not in flags
    with pytest.raises(ConfigError, match="give one of them"):
        load_recipe("qwen3-8b-1gpu", ["train_iters=8", "num_train_epochs=1"])


def test_settings_change_flags_and_are_checked() -> None:
    recipe = load_recipe("tiny-cpu", ["num_train_epochs=1", "--max_length=64", "report_to=[tensorboard, wandb]"])
    assert (recipe.flags["num_train_epochs"], recipe.flags["max_length"]) == (1.0, 64)
    assert recipe.flags["report_to"] == ("tensorboard", "wandb")
    for wrong, said in (("lr", "write --set key=value"), ("lr=1", "called learning_rate"), ("x=[", "neither")):
        with pytest.raises(ConfigError, match=said):
            load_recipe("tiny-cpu", [wrong])


@pytest.mark.parametrize(
    ("name", "settings", "cluster", "said"),
    [
        ("qwen3-8b-article-2gpu", (), Cluster(1, 3), "does not divide 3 GPUs"),
        ("qwen3-8b-1gpu", ("global_batch_size=9",), Cluster(1, 2), "--set global_batch_size=10"),
        ("qwen3-8b-1gpu", (), Cluster(1, 0), "needs a GPU"),
        ("tiny-cpu", ("packing=true",), Cluster(1, 0), "packing needs flash attention"),
    ],
)
def test_what_does_not_fit_the_machine_is_said_before_the_start(
    name: str, settings: tuple[str, ...], cluster: Cluster, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        launched(name, *settings, cluster=cluster)


# Nodes


def test_options_win_over_the_environment() -> None:
    env = {"NNODES": "4", "NODE_RANK": "3", "MASTER_ADDR": "other", "MASTER_PORT": "1234"}
    assert find_cluster(1, 8, env, nnodes=2, node_rank=1, master="gpu1:29501") == Cluster(2, 8, 1, "gpu1", 29501)
    assert find_cluster(1, 8, env, nnodes=None, node_rank=None, master="") == Cluster(4, 8, 3, "other", 1234)


@pytest.mark.parametrize(
    "env",
    [
        {"SLURM_NNODES": "2", "SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "gpu[07-08]"},
        {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "gpu07"},
        {"GROUP_WORLD_SIZE": "2", "GROUP_RANK": "1", "MASTER_ADDR": "gpu07"},
    ],
)
def test_slurm_and_torchrun_are_read(env: dict[str, str]) -> None:
    assert find_cluster(2, 2, env, nnodes=None, node_rank=None, master="") == Cluster(2, 2, 1, "gpu07", 29500)


@pytest.mark.parametrize(
    ("nodelist", "host"),
    [("gpu[03-05,9],login", "gpu03"), ("a1,a2", "a1"), ("rack[1,4]-node", "rack1-node"), ("one", "one"), ("", "")],
)
def test_the_first_host_of_slurms_list(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "this recipe is for 2 nodes"),
        ({"nnodes": 2}, "needs --node-rank R"),
        ({"nnodes": 2, "node_rank": 0}, "needs --master HOST"),
        ({"nnodes": 2, "node_rank": 2, "master": "h"}, "does not fit 2 nodes"),
        ({"nnodes": 2, "node_rank": 0, "master": "h:99999"}, "99999 is no port"),
    ],
)
def test_what_is_missing_for_several_nodes_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_cluster(2, 2, {}, **{"nnodes": None, "node_rank": None, "master": "", **given})


def test_the_other_nodes_differ_by_their_rank_only() -> None:
    one = launched("qwen3-8b-article-2x2")
    others = other_nodes(one)
    assert list(others) == [1]
    assert others[1].argv == one.argv
    assert {**others[1].env, "NODE_RANK": "0"} == one.env
    assert one.env["MODELSCOPE_CACHE"] == "/r/cache"


# The dataset


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", 'line 2: a sample is {"messages"'),
        ('{"messages": []}', "line 2: a sample is"),
        ('{"messages": [{"role": "user"}]}', "line 2: each message needs role and content"),
        ('{"messages": [{"role": "human", "content": "x"}]}', "line 2: unknown role 'human'"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "line 2: the last message must be the assistant's"),
        ('{"messages": [{"role": "assistant", "content": " "}]}', "line 2: the answer is empty"),
    ],
)
def test_a_malformed_sample_is_named_by_its_line(line: str, said: str, dataset: Path) -> None:
    with (dataset / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ConfigError, match=said):
        open_dataset(dataset)


def test_a_dataset_that_is_missing_or_empty_is_said_clearly(tmp_path: Path, dataset: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; write a dataset with `docduet sft build"):
        open_dataset(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"no train\.jsonl"):
        open_dataset(tmp_path)
    (dataset / "train.jsonl").write_text("\n")
    with pytest.raises(ConfigError, match="holds no sample"):
        open_dataset(dataset)


def test_a_folder_brings_its_validation_samples_and_a_file_only_itself(dataset: Path) -> None:
    assert open_dataset(dataset).val == dataset / "val.jsonl"
    (dataset / "own.jsonl").write_text(json.dumps(SAMPLE) + "\n")
    assert open_dataset(dataset / "own.jsonl").val is None
    (dataset / "val.jsonl").write_text("")
    assert open_dataset(dataset).val is None


def test_samples_over_the_limit_stop_it_unless_they_may_go(dataset: Path) -> None:
    long = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "word " * 400}]}
    with (dataset / "train.jsonl").open("a") as file:
        file.write(json.dumps(long) + "\n")
    lengths = measure(open_dataset(dataset), Estimate(), 256)
    assert [line for line, _ in lengths.too_long] == [2]
    with pytest.raises(ConfigError, match=r"1 of 2 samples are longer than max_length 256 .*--set max_length=768"):
        check_lengths(lengths)
    assert "they are dropped" in check_lengths(lengths, allow_drop=True)
    assert lengths.total == lengths.tokens[0]
    with pytest.raises(ConfigError, match="none would be left"):
        check_lengths(measure(open_dataset(dataset), Estimate(), 10), allow_drop=True)


def test_tokens_are_those_that_ms_swift_counts(dataset: Path, model: Path) -> None:
    """Of Qwen3's template, as ms-swift 4.6.0 renders it: an empty think block before an answer that does not think."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from sft.tokens import load_counter

    letters = {chr(code): code for code in range(128)}
    inner = Tokenizer(models.WordLevel(letters, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")  # type: ignore[assignment]  # a token a character
    inner.add_special_tokens(["<|im_start|>", "<|im_end|>", "<think>", "</think>"])
    inner.save(str(model / "tokenizer.json"))
    thinks = {"messages": [{"role": "assistant", "content": "<think>\nhm\n</think>\n\nyes"}]}
    (dataset / "train.jsonl").write_text(f"{json.dumps(SAMPLE)}\n{json.dumps(thinks)}\n")
    sizes = measure(open_dataset(dataset), load_counter(model), 999).tokens
    plain = "SuserNPort?ENSassistantNTNNTNNIt is 7860.EN"  # S, E, T: special tokens, N: line breaks
    assert sizes == (len(plain), len("SassistantNTNhmNTNNyesEN"))


# The command


def test_the_printed_command_does_in_a_shell_what_it_says(dataset: Path, model: Path, tmp_path: Path) -> None:
    """Pasted into bash with a `python` that writes down what it was called with."""
    spy = tmp_path / "spy"
    spy.write_text(
        f"#!{sys.executable}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))\n"
    )
    spy.chmod(0o755)
    words = ["--recipe", "tiny-cpu", "--dataset", str(dataset), "--model", str(model), "--out", str(tmp_path / "a run")]
    done = cli("train", *words, "--dry-run", "--python", str(spy))
    assert done.exit_code == 0, done.output
    ran = subprocess.run(
        ["bash", "-c", done.stdout], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    argv, env, cwd = json.loads(ran.stdout)
    told = json.loads(cli("train", *words, "--dry-run", "--json", "--python", str(spy)).stdout)["nodes"][0]
    assert [str(spy), *argv] == told["argv"]
    assert told["env"].items() <= env.items()
    assert cwd == told["cwd"] == str(tmp_path / "a run")
    assert str(dataset / "train.jsonl") in argv


def test_a_dry_run_prints_what_a_run_starts(dataset: Path, model: Path, tmp_path: Path) -> None:
    """Word for word what run.json says was started, also when a run is gone on with."""
    trainer = tmp_path / "python"
    fake = Path(__file__).with_name("fake_trainer.py")
    trainer.write_text(f'#!/bin/sh\nexec {sys.executable} {fake} --steps "${{STEPS:-3}}" "$@"\n')
    trainer.chmod(0o755)
    out = tmp_path / "run"
    words = ["--recipe", "tiny-cpu", "--dataset", str(dataset), "--model", str(model), "--out", str(out)]
    words += ["--python", str(trainer), "--set", "save_steps=3"]

    def printed(*more: str) -> dict[str, Any]:
        return dict(json.loads(cli("train", *words, *more, "--dry-run", "--json").stdout)["nodes"][0])

    first = printed()
    assert not out.exists()
    assert cli("train", *words).exit_code == 0
    go_on = ("--resume", "--set", "save_total_limit=3")  # another option, so that it is not finished
    second = printed(*go_on)
    assert cli("train", *words, *go_on, env={"STEPS": "6"}).exit_code == 0
    started = json.loads((out / "run.json").read_text())["starts"]
    assert [start["argv"] for start in started] == [first["argv"], second["argv"]]
    assert [start["env"] for start in started] == [first["env"], second["env"]]
    assert "checkpoint-3" in second["shell"]


def test_a_dry_run_needs_neither_model_nor_dataset_and_names_every_node() -> None:
    line = "train --recipe qwen3-8b-article-2x2 --dataset /no/d --model /no/m --out /no/r --nnodes 2 --dry-run"
    done = cli(f"{line} --node-rank 1 --master g1")
    assert done.exit_code == 0
    assert done.stdout.count("swift.cli._megatron.main sft") == 2
    assert "# node 1 (this one)" in done.stdout
    assert "/no/d does not exist" in done.stderr
    nodes = json.loads(cli(f"{line} --node-rank 1 --master g1 --json").stdout)["nodes"]
    assert [node["env"]["NODE_RANK"] for node in nodes] == ["0", "1"]


def test_slurms_variables_reach_the_command() -> None:
    env = {"SLURM_NNODES": "2", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "gpu[1-2]"}
    done = cli("train --recipe qwen3-8b-article-2x2 --dataset /d --model /m --out /r --dry-run", env=env)
    assert "MASTER_ADDR=gpu1" in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--model": "Qwen/Qwen3-8B"}, "docduet sft fetch Qwen/Qwen3-8B"),
        ({"--model": "{tmp}"}, "no config.json"),
        ({"--dataset": "{tmp}/nothing"}, "does not exist"),
        ({"--recipe": "tiny-cp"}, "did you mean tiny-cpu"),
        ({"--set": "model_type=llama"}, "model of type qwen3, but recipe tiny-cpu is for llama"),
        ({"--set": "max_length=3"}, "longer than max_length 3"),
    ],
)
def test_wrong_input_is_refused_before_anything_starts(
    change: dict[str, str], said: str, dataset: Path, model: Path, tmp_path: Path
) -> None:
    given = {"--recipe": "tiny-cpu", "--dataset": str(dataset), "--model": str(model), "--out": str(tmp_path / "r")}
    given |= {name: value.format(tmp=tmp_path) for name, value in change.items()}
    done = cli("train", *[word for pair in given.items() for word in pair])
    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)
    assert not (tmp_path / "r").exists()
