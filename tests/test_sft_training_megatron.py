"""Against the real `megatron sft` on a GPU, with a small model: train, stop, kill, go on, adapters, conversion, and 200
samples learned by heart.

Needs one GPU of any size and an environment with Megatron and pytest; of what DocDuet needs, pydantic and PyYAML do:

    export PYTHONPATH=$PWD:$PYTHONPATH DOCDUET_TRAIN_PYTHON=$(which python3)
    python3 -m pytest tests/test_sft_training_megatron.py -x -k "loss or sigterm or kill"
    python3 -m pytest tests/test_sft_training_megatron.py -x -k "adapter"
    python3 -m pytest tests/test_sft_training_megatron.py -x -k "converted or equals"
    python3 -m pytest tests/test_sft_training_megatron.py -x -k "repeated"

Each slice should end within nine minutes on a card of its own (about 45 s a start of the trainer; every start and
conversion has a limit).
Models of real size: test_sft_training_megatron_large.py.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from benchmarks import random_qwen3
from sft.training.cluster import Cluster
from sft.training.dataset import open_dataset
from sft.training.export import export
from sft.training.folder import read_info
from sft.training.launch import Launch, launch
from sft.training.recipe import load_recipe
from sft.training.records import Run, read_run
from tests.fake_trainer import processes_with
from tests.megatron_machine import answers, logits, same_curve, skip_without_megatron
from tests.tiny_qwen3 import make
from tests.training_runs import PYTHON, limited, once, ports, train, write_dataset

STEPS = 80
LIMIT_S = 240
ONE = Cluster(1, 1)

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", autouse=True)
def machine() -> None:
    skip_without_megatron()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"), layers=4, hidden=256)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), ports())


def prepared(model: Path, dataset: Path, out: Path, *settings: str) -> Launch:
    """The recipe tiny-gpu, without packing: 64 samples, 8 a step, 10 epochs."""
    own = ("packing=false", "max_length=256", "num_train_epochs=10", "save_steps=20", "dataloader_num_workers=0")
    recipe = load_recipe("tiny-gpu", (*own, "lr=1e-3", *settings))
    return launch(recipe, open_dataset(dataset), ONE, model=model, folder=out, python=str(PYTHON))


@pytest.fixture(scope="module")
def whole(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    said: list[str] = []
    out = tmp_path_factory.mktemp("whole")
    assert train(prepared(model, dataset, out), dataset, said, limit_s=LIMIT_S) == 0, said
    return read_run(out)


def test_the_loss_falls_and_speed_and_memory_are_known(whole: Run) -> None:
    assert whole.steps[-1].step == STEPS
    assert whole.steps[-1].loss < whole.steps[0].loss / 2
    assert {"tokens_per_s", "mfu", "memory_gib"} <= set(whole.metrics())


def stopped_and_gone_on(what: Launch, dataset: Path) -> Run:
    """Stopped by SIGTERM after step 6, which saves, and gone on with."""
    said: list[str] = []
    thread = once(lambda: any("step 6/" in line for line in said), lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(what, dataset, said, limit_s=LIMIT_S) == 143, said
    thread.join()
    assert not any("are lost" in line for line in said), said
    assert train(what, dataset, said, resume=True, limit_s=LIMIT_S) == 0, said
    info = read_info(what.cwd)
    assert info
    assert info.starts[-1].from_step >= 6
    return read_run(what.cwd)


def test_sigterm_saves_and_resume_goes_on_to_the_same_curve(
    model: Path, dataset: Path, whole: Run, tmp_path: Path
) -> None:
    same_curve(stopped_and_gone_on(prepared(model, dataset, tmp_path / "run"), dataset), whole)


def test_kill_and_resume_go_on_to_the_same_curve(model: Path, dataset: Path, whole: Run, tmp_path: Path) -> None:
    said: list[str] = []

    def kill() -> None:
        for pid in processes_with(str(tmp_path / "run")):
            os.kill(pid, signal.SIGKILL)

    what = prepared(model, dataset, tmp_path / "run")
    thread = once(lambda: any("step 50/" in line for line in said), kill)
    assert train(what, dataset, said, limit_s=LIMIT_S) == 1, said
    thread.join()
    assert train(what, dataset, said, resume=True, limit_s=LIMIT_S) == 0, said
    info = read_info(tmp_path / "run")
    assert info
    assert info.starts[-1].from_step % 20 == 0
    assert info.starts[-1].from_step > 0
    same_curve(read_run(tmp_path / "run"), whole)


def test_an_adapter_is_trained_gone_on_with_and_merged(model: Path, dataset: Path, tmp_path: Path) -> None:
    """As in recipe qwen3-8b-lora: the default of ms-swift would also write a merged model each time."""
    settings = ("tuner_type=lora", "lora_rank=8", "lora_alpha=16", "lora_dropout=0.0", "merge_lora=false")
    gone_on = stopped_and_gone_on(prepared(model, dataset, tmp_path / "run", *settings), dataset)
    said: list[str] = []
    straight = prepared(model, dataset, tmp_path / "straight", *settings)
    assert train(straight, dataset, said, limit_s=LIMIT_S) == 0, said
    same_curve(gone_on, read_run(tmp_path / "straight"))
    with limited(LIMIT_S, tmp_path / "run"):
        assert export(tmp_path / "run", tmp_path / "adapter").manifest.lora_rank == 8
        assert export(tmp_path / "run", tmp_path / "merged", merge=True).manifest.kind == "full"


def test_converted_both_ways_within_the_precision_tests_bound(whole: Run, tmp_path: Path) -> None:
    with limited(2 * LIMIT_S, whole.folder):
        done = export(whole.folder, tmp_path / "served", from_mcore=True, with_mcore=True)
    differences = dict(done.differences)
    assert set(differences) == {"to_hf", "to_mcore"}
    assert all(value is not None and value < 0.1 for value in differences.values())


def test_the_exported_folder_equals_the_megatron_weights(whole: Run, tmp_path: Path) -> None:
    """safetensors that training wrote, and those converted from Megatron's own format: the same logits."""
    import torch

    with limited(LIMIT_S, whole.folder):
        written = export(whole.folder, tmp_path / "written")
        converted = export(whole.folder, tmp_path / "converted", from_mcore=True)
    torch.testing.assert_close(logits(written.folder), logits(converted.folder))


def test_200_samples_are_learned_by_heart_and_repeated_after_the_export(tmp_path: Path) -> None:
    """Packed, as the real recipes are; asked through transformers, greedily."""
    codes = random.Random(0)
    pairs = [(f"What is the code of part {n}?", f"It is {codes.randint(1000, 9999)}.") for n in range(200)]
    dataset, out = write_dataset(tmp_path / "dataset", pairs), tmp_path / "run"
    model = random_qwen3.make(tmp_path / "model", "tiny")
    own = ("max_length=512", "num_train_epochs=150", "lr=1e-3", "min_lr=1e-4", "save_steps=100000")
    recipe = load_recipe("tiny-gpu", own)
    said: list[str] = []
    what = launch(recipe, open_dataset(dataset), ONE, model=model, folder=out, python=str(PYTHON))
    assert train(what, dataset, said, limit_s=600) == 0, said  # over 300 s beside others on the card
    with limited(120, out):
        served = export(out, tmp_path / "served").folder
        given = answers(served, [question for question, _ in pairs])
    right = sum(answer == wanted for answer, (_, wanted) in zip(given, pairs, strict=True))
    print(f"{right} of 200 repeated word for word, loss {read_run(out).steps[-1].loss:.4f}")
    assert right >= 190, given[:5]
