"""Against the real `megatron sft` on a GPU, with random models of real size: an 8B trained and exported; a 1B killed,
gone on with, exported and compared.

Needs a GPU (the 8B: 139 GiB), 64 GiB of disk below pytest's folder, and what test_sft_training_megatron.py needs:

    export PYTHONPATH=$PWD:$PYTHONPATH DOCDUET_TRAIN_PYTHON=$(which python3)
    python3 -m pytest tests/test_sft_training_megatron_large.py -x -s -k 1b
    python3 -m pytest tests/test_sft_training_megatron_large.py -x -s -k 8b

About five minutes each; every start and conversion has a limit. The 8B's optimizer state, some 100 GB, is not saved.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import random_qwen3
from sft.tokens import load_counter
from sft.training.cluster import Cluster
from sft.training.dataset import open_dataset
from sft.training.export import export
from sft.training.folder import read_info
from sft.training.gpus import find_gpus
from sft.training.launch import Launch, launch
from sft.training.recipe import load_recipe
from sft.training.records import read_run
from tests.fake_trainer import processes_with
from tests.megatron_machine import logits, same_curve, skip_without_megatron
from tests.training_runs import PYTHON, limited, once, train

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", autouse=True)
def machine() -> None:
    skip_without_megatron()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Emptied at once: pytest would keep tens of gigabytes."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def prepared(recipe: str, folder: Path, samples: int, *settings: str, out: str = "run") -> Launch:
    """Long conversations of random words, packed."""
    model, dataset = folder / "model", folder / "long.jsonl"
    if not dataset.exists():
        random_qwen3.conversations(dataset, random_qwen3.long(samples), load_counter(model))
    chosen = load_recipe(recipe, settings)
    return launch(chosen, open_dataset(dataset), Cluster(1, 1), model=model, folder=folder / out, python=str(PYTHON))


def test_1b_killed_gone_on_with_and_exported_is_the_same_model(folder: Path) -> None:
    """With the 8B's own recipe: bf16 moments and gradients, the plugin, fused loss and rotary embedding."""
    import torch

    random_qwen3.make(folder / "model", "1b")
    own = ("train_iters=8", "save_steps=4", "global_batch_size=2", "max_length=2048", "lr=1e-4")
    straight = prepared("qwen3-8b-1gpu", folder, 60, *own, "no_save_optim=true", out="straight")
    told: list[str] = []
    assert train(straight, folder / "long.jsonl", told, limit_s=240) == 0, told
    curve = read_run(folder / "straight")
    shutil.rmtree(next((folder / "straight").glob("v*/checkpoint-4")))

    what = prepared("qwen3-8b-1gpu", folder, 60, *own)
    said: list[str] = []

    def kill() -> None:
        for pid in processes_with(str(what.cwd)):
            os.kill(pid, signal.SIGKILL)

    thread = once(lambda: any("step 6/" in line for line in said), kill)
    assert train(what, folder / "long.jsonl", said, limit_s=240) == 1, said
    thread.join()
    assert train(what, folder / "long.jsonl", said, resume=True, limit_s=240) == 0, said
    info = read_info(what.cwd)
    assert info
    assert info.starts[-1].from_step == 4
    same_curve(read_run(what.cwd), curve)
    checkpoint = next(what.cwd.glob("v1*/checkpoint-8"))
    size = sum(file.stat().st_size for file in checkpoint.rglob("*") if file.is_file())
    print(f"one checkpoint with the optimizer's state: {size / 1e9:.2f} GB, {size / 1.0236e9:.2f} bytes a parameter")

    with limited(200, what.cwd):
        converted = export(what.cwd, folder / "converted", from_mcore=True)
    difference = dict(converted.differences)["to_hf"]
    print(f"mean difference of the logits between Hugging Face's and Megatron's model: {difference}")
    assert difference is not None
    assert difference < 0.1
    written = export(what.cwd, folder / "written")
    torch.testing.assert_close(logits(written.folder), logits(converted.folder))


def test_8b_with_full_parameters_trains_on_one_gpu_and_is_exported(folder: Path) -> None:
    gpus = find_gpus()
    if not gpus or gpus[0].total < 135:
        pytest.skip("qwen3-8b-1gpu is for a GPU with 139 GiB")
    random_qwen3.make(folder / "model", "8b")
    what = prepared("qwen3-8b-1gpu", folder, 300, "train_iters=5", "no_save_optim=true", "save_steps=100")
    said: list[str] = []
    assert train(what, folder / "long.jsonl", said, limit_s=330) == 0, said
    read = read_run(what.cwd)
    print(read.metrics())
    assert [step.step for step in read.steps] == [1, 2, 3, 4, 5]
    assert all(math.isfinite(step.loss) and step.memory_gib < gpus[0].total for step in read.steps)
    assert read.metrics()["tokens_per_s"] > 0
    served = export(what.cwd, folder / "served")
    assert sum(size for name, size in served.manifest.files.items() if name.endswith(".safetensors")) > 16.3e9
