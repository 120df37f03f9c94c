"""Against the real `megatron sft` on a GPU: train, stop, kill, go on, adapters, both directions of conversion.

Needs an environment with Megatron (the interpreter named by DOCDUET_TRAIN_PYTHON) and one GPU; some minutes.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sft.training.cluster import Cluster
from sft.training.dataset import open_dataset
from sft.training.export import export
from sft.training.folder import read_info
from sft.training.launch import Launch, launch
from sft.training.recipe import load_recipe
from sft.training.records import Run, read_run
from tests.fake_trainer import processes_with
from tests.test_sft_training_real import PYTHON, dataset, once, train
from tests.tiny_qwen3 import make

__all__ = ["dataset"]
STEPS = 240


def trains() -> bool:
    asked = "import torch, megatron.core, transformer_engine.pytorch; assert torch.cuda.is_available()"
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", asked], capture_output=True).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def machine() -> None:
    if not trains():
        pytest.skip(f"{PYTHON} has no Megatron, or no GPU: set DOCDUET_TRAIN_PYTHON on a machine with one")


pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"), layers=4, hidden=256)


def prepared(model: Path, dataset: Path, out: Path, *settings: str) -> Launch:
    """The recipe tiny-gpu, without packing: 64 samples, 8 a step, 30 epochs."""
    own = ("packing=false", "max_length=256", "num_train_epochs=30", "save_steps=20", "dataloader_num_workers=0")
    recipe = load_recipe("tiny-gpu", (*own, *settings))
    one = Cluster(1, 1, 0, "")
    return launch(recipe, open_dataset(dataset), one, model=model, folder=out, python=str(PYTHON))


@pytest.fixture(scope="module")
def whole(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    said: list[str] = []
    out = tmp_path_factory.mktemp("whole")
    assert train(prepared(model, dataset, out), dataset, said) == 0, said
    return read_run(out)


def same_curve(one: Run, other: Run) -> None:
    """bf16 on a GPU does not repeat to the last digit."""
    assert [step.step for step in one.steps] == [step.step for step in other.steps]
    assert [step.loss for step in one.steps] == pytest.approx([step.loss for step in other.steps], rel=0.02, abs=0.02)


def test_the_loss_falls_and_speed_and_memory_are_known(whole: Run) -> None:
    assert whole.steps[-1].step == STEPS
    assert whole.steps[-1].loss < whole.steps[0].loss / 2
    assert {"tokens_per_s", "mfu", "memory_gib"} <= set(whole.metrics())


@pytest.mark.parametrize("tuner", ["full", "lora"])
def test_sigterm_saves_and_resume_goes_on_to_the_same_curve(
    model: Path, dataset: Path, whole: Run, tmp_path: Path, tuner: str
) -> None:
    settings = () if tuner == "full" else ("tuner_type=lora", "lora_rank=8", "lora_alpha=16")
    said: list[str] = []
    thread = once(lambda: any("step 6/" in line for line in said), lambda: os.kill(os.getpid(), signal.SIGTERM))
    what = prepared(model, dataset, tmp_path / "run", *settings)
    assert train(what, dataset, said) == 143, said
    thread.join()
    assert not any("are lost" in line for line in said), said
    assert train(what, dataset, said, resume=True) == 0, said
    info = read_info(tmp_path / "run")
    assert info
    assert info.starts[-1].from_step >= 6
    if tuner == "full":
        same_curve(read_run(tmp_path / "run"), whole)
    else:
        straight = prepared(model, dataset, tmp_path / "straight", *settings)
        assert train(straight, dataset, said) == 0, said
        same_curve(read_run(tmp_path / "run"), read_run(tmp_path / "straight"))
        assert export(tmp_path / "run", tmp_path / "adapter").manifest.lora_rank == 8
        assert export(tmp_path / "run", tmp_path / "merged", merge=True).manifest.kind == "full"


def test_kill_and_resume_go_on_to_the_same_curve(model: Path, dataset: Path, whole: Run, tmp_path: Path) -> None:
    said: list[str] = []

    def kill() -> None:
        for pid in processes_with(str(tmp_path / "run")):
            os.kill(pid, signal.SIGKILL)

    thread = once(lambda: any("step 50/" in line for line in said), kill)
    assert train(prepared(model, dataset, tmp_path / "run"), dataset, said) == 1, said
    thread.join()
    assert train(prepared(model, dataset, tmp_path / "run"), dataset, said, resume=True) == 0, said
    info = read_info(tmp_path / "run")
    assert info
    assert info.starts[-1].from_step % 20 == 0
    assert info.starts[-1].from_step > 0
    same_curve(read_run(tmp_path / "run"), whole)


def test_converted_both_ways_within_the_precision_tests_bound(whole: Run, tmp_path: Path) -> None:
    done = export(whole.folder, tmp_path / "served", from_mcore=True, with_mcore=True)
    differences = dict(done.differences)
    assert set(differences) == {"to_hf", "to_mcore"}
    assert all(value is not None and value < 0.1 for value in differences.values())


def test_the_exported_folder_equals_the_megatron_weights(whole: Run, tmp_path: Path) -> None:
    """safetensors that training wrote, and those converted from Megatron's own format: the same logits."""
    import torch
    from transformers import AutoModelForCausalLM

    written = export(whole.folder, tmp_path / "written")
    converted = export(whole.folder, tmp_path / "converted", from_mcore=True)
    tokens = torch.arange(5, 25)[None]
    with torch.no_grad():
        one, other = (AutoModelForCausalLM.from_pretrained(done.folder)(tokens).logits for done in (written, converted))
    torch.testing.assert_close(one, other)
