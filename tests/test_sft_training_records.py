"""The numbers of a run: log lines, means undone, torn lines, early stop, what a token costs, what the log means."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from data.errors import ConfigError
from sft.training.explain import explain, next_tries
from sft.training.flops import flops_per_token, peak_tflops
from sft.training.health import Health
from sft.training.model import QWEN3_8B
from sft.training.progress import BarProgress, PlainProgress, duration, line
from sft.training.records import Evaluation, Reader, Step, read_run


def row(step: int, loss: float = 1.0, **more: object) -> str:
    return json.dumps({"loss": loss, "grad_norm": 2.0, "learning_rate": 1e-5, "iteration": f"{step}/100", **more})


def read(lines: list[str], from_step: int = 0) -> list[Step]:
    reader = Reader(from_step)
    return [record for text in lines if isinstance(record := reader.read(text), Step)]


def test_the_running_mean_is_undone() -> None:
    """train_speed is elapsed / steps since the start; what went into it comes out again."""
    rng, elapsed, lines, wanted = random.Random(0), 0.0, [], []
    for step in range(5, 101, 5):
        seconds = rng.uniform(1, 9)
        elapsed += seconds * 5
        wanted.append(seconds)
        lines.append(row(step, **{"train_speed(s/it)": round(elapsed / step, 6)}))
    assert [one.seconds for one in read(lines)] == pytest.approx(wanted, abs=1e-3)


def test_a_resumed_start_counts_from_its_checkpoint() -> None:
    lines = [row(step, **{"train_speed(s/it)": 2.0}) for step in (41, 42, 45)]
    assert [one.seconds for one in read(lines, from_step=40)] == pytest.approx([2.0, 2.0, 2.0])


def test_both_trainers_and_lines_of_other_kinds_are_read() -> None:
    reader = Reader()
    swift = json.dumps({"loss": 0.5, "global_step/max_steps": "3/9", "memory(GiB)": 4.5})
    step = reader.read(swift)
    assert isinstance(step, Step)
    assert (step.step, step.total, step.loss, step.memory_gib) == (3, 9, 0.5, 4.5)
    assert reader.read(json.dumps({"eval_loss": 0.4, "global_step/max_steps": "3/9"})) == Evaluation(3, 0.4)
    for other in (
        '{"train_runtime": 9.0, "global_step/max_steps": "9/9"}',
        '{"last_model_checkpoint": "x"}',
        '{"los',
        "7",
    ):
        assert reader.read(other) is None


def test_a_gradient_norm_that_is_no_number_counts_as_infinite() -> None:
    assert math.isinf(read([row(1, grad_norm=math.nan)])[0].grad_norm)
    assert math.isnan(read(['{"loss": 1, "iteration": "1/2"}'])[0].grad_norm)


def test_a_folder_of_ms_swifts_own_is_read_and_later_starts_win(tmp_path: Path) -> None:
    for name, steps, loss in (("v0-20260101-000000", range(1, 9), 1.0), ("v1-20260102-000000", range(6, 11), 2.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "logging.jsonl").write_text("\n".join(row(step, loss) for step in steps))
    run = read_run(tmp_path)
    assert [(one.step, one.loss) for one in run.steps] == [
        *((n, 1.0) for n in range(1, 6)),
        *((n, 2.0) for n in range(6, 11)),
    ]
    assert run.metrics()["steps"] == 10
    assert "mfu" not in run.metrics()


def test_a_folder_without_a_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing was logged yet"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        read_run(tmp_path / "none")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        read_run(tmp_path)


def fed(losses: list[float], **settings: int) -> tuple[str, Health]:
    health = Health(**settings)
    for number, loss in enumerate(losses, start=1):
        if said := health.check(Step(number, 1000, loss)):
            return said, health
    return "", health


def test_spikes_pass_and_a_loss_that_stays_up_does_not() -> None:
    usual = [1.0 + 0.1 * (n % 3) for n in range(30)]
    assert fed([*usual, 9.0, 9.0, 1.0, 9.0, 9.0, 1.0])[0] == ""
    said, health = fed([*usual, 9.0, 9.0, 9.0, 9.0, 9.0])
    assert "ran away" in said
    assert health.last_good == 30


def test_a_loss_that_falls_or_starts_high_is_well() -> None:
    assert fed([12.0 * 0.9**n for n in range(200)])[0] == ""
    assert fed([1.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0])[0] == ""  # too early to know what is usual


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_at_once(loss: float) -> None:
    said, health = fed([1.0, 1.0, loss])
    assert "at step 3" in said
    assert health.last_good == 2
    assert "gradient norm" in Health().check(Step(1, 9, 1.0, math.inf))


def test_flops_agree_with_palm_appendix_b_and_with_what_was_measured() -> None:
    weights = QWEN3_8B.parameters - QWEN3_8B.embedding  # the table is looked up, not multiplied with
    full = flops_per_token(QWEN3_8B, 0, adapter=False)
    assert full == pytest.approx(6 * weights, rel=1e-3)
    assert flops_per_token(QWEN3_8B, 8192, False) - full == pytest.approx(12 * 36 * 32 * 128 * 8192 / 2)
    assert flops_per_token(QWEN3_8B, 0, adapter=True) == pytest.approx(full * 4 / 6)
    # 10,700 tokens/s in packs of 8,192 out of samples of about 1,230 tokens were found to be about 500 TFLOP/s
    assert 10_700 * flops_per_token(QWEN3_8B, 1_230, False) / 1e12 == pytest.approx(500, rel=0.05)


def test_the_peak_is_found_by_the_drivers_name() -> None:
    names = {"NVIDIA H100 80GB HBM3": 989, "NVIDIA H200": 989, "NVIDIA A100-SXM4-80GB": 312, "NVIDIA H20": 148}
    names |= {"NVIDIA L4": 121, "NVIDIA L40S": 362, "NVIDIA GeForce RTX 4090": 165, "Tesla K80": 0, "": 0}
    assert {name: peak_tflops(name) for name in names} == names


MEGATRON = ("megatron", "sft", "--tuner_type", "full", "--micro_batch_size", "2", "--max_length", "8192")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RuntimeError: CUDA error: all CUDA-capable devices are busy or unavailable", "nvidia-smi"),
        ("RuntimeError: No CUDA GPUs are available", "docduet sft doctor"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ImportError: x\nModuleNotFoundError: No module named 'megatron.core'", "lacks the package megatron"),
        ("ValueError: remaining_argv: ['--load', 'x']", "does not know these options: '--load', 'x'"),
        ("AssertionError: found NaN in local grad norm for bucket #0", "lower the learning rate"),
        ("DistNetworkError: EADDRINUSE, Address already in use", "--master HOST:PORT"),
        ("bar 3%\nTraceback:\n  File x\nValueError: odd thing\nbye", "ValueError: odd thing"),
        ("", "it printed nothing"),
    ],
)
def test_the_trainers_last_words_are_explained(text: str, said: str) -> None:
    assert said in explain(text, MEGATRON, "x")


def test_what_to_try_when_memory_runs_out_leaves_out_what_is_set() -> None:
    tries = " ".join(next_tries(MEGATRON, "qwen3-8b-1gpu"))
    for one in (
        "micro_batch_size=1",
        "recompute_granularity=full",
        "use_precision_aware_optimizer=true",
        "max_length=4096",
    ):
        assert f"--set {one}" in tries
    spare = (*MEGATRON[:4], "--recompute_granularity", "full", "--use_precision_aware_optimizer", "true")
    tries = " ".join(next_tries(spare, "qwen3-8b-8gpu"))
    assert "--set" not in tries
    assert "qwen3-8b-8gpu" not in tries


def test_a_line_of_progress() -> None:
    step = Step(3, 9, 1.23456, seconds=2.0, memory_gib=99.5, tokens_per_s=10_700.4, mfu=0.512)
    assert line(step, 3723) == "loss 1.235, 10,700 tokens/s, MFU 51.2%, 99.5 GiB, 1:02:03 to go"
    assert line(Step(1, 9, 2.0), math.nan) == "loss 2"
    assert duration(65) == "1:05"


def test_plain_progress_is_sparing_but_says_the_end() -> None:
    said: list[str] = []
    progress = PlainProgress(3600, said.append)
    for number in range(1, 101):
        progress.step(Step(number, 100, 1.0))
    assert [text.split(":")[0] for text in said] == ["step 1/100", "step 100/100"]


def test_the_bar_shows_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    with BarProgress() as bar:
        bar.step(Step(3, 9, 1.5, seconds=2.0))
        bar.evaluation(Evaluation(3, 1.25))
        bar.note("[not markup]")
    said = capsys.readouterr().err
    assert "3/9" in said
    assert "loss 1.5, 0:12 to go" in " ".join(said.split())
    assert "step 3: validation loss 1.25" in said
    assert "[not markup]" in said
