"""The speed benchmark's arithmetic, and the whole of it with a trainer that writes what ms-swift writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.random_qwen3 import conversations, long, short
from benchmarks.sft_throughput import Variant, loss_difference, main, ratios, speed
from data.errors import ConfigError
from sft.tokens import load_counter
from sft.training.dataset import measure, open_dataset
from sft.training.folder import RunInfo
from sft.training.records import Step
from tests.fake_trainer import processes_with
from tests.tiny_qwen3 import make
from tests.training_runs import ROOT

STEPS = [Step(n, 30, 3.0 / n, seconds=9.0 if n == 1 else 0.5, memory_gib=float(n)) for n in range(1, 13)]


def info(**changes: Any) -> RunInfo:
    known = {"samples_per_step": 2, "max_length": 100, "samples": 6, "tokens": 600, "epochs": 3.0}
    empty = dict.fromkeys(("recipe", "backend", "dataset", "dataset_sha256", "model", "output_dir", "gpu"), "")
    return RunInfo(
        **{**empty, **known, "world_size": 1, "tokens_per_step": 200, "flops_per_token": 1e9, "peak_tflops": 0.0,
           "versions": {}, **changes}
    )  # fmt: skip


def test_packed_steps_share_all_tokens_and_the_first_ones_do_not_count() -> None:
    found = speed(Variant("bf16", "r", skip=3), "long", STEPS, [], info())
    assert (found.steps, found.seconds, found.tokens) == (9, 4.5, 600 * 3 / 30 * 9)
    assert (found.tokens_per_s, found.gib) == (120, 12)
    assert "120 useful tokens/s" in found.line()


def test_unpacked_steps_count_the_samples_that_they_took() -> None:
    """Steps 4 and 5 take samples 7 to 10, which are the first four of the second round of six."""
    found = speed(
        Variant("article", "r", steps=4, skip=3), "long", STEPS[:5], [10, 20, 3, 4, 5, 6], info(tokens_per_step=16)
    )
    assert (found.tokens, found.tokens_per_s) == (37, 37)


def test_too_few_steps_are_said() -> None:
    with pytest.raises(ConfigError, match="only 4 steps"):
        speed(Variant("bf16", "r", skip=3), "long", STEPS[:4], [], info())


def test_losses_are_compared_over_the_last_steps_that_both_have() -> None:
    other = [Step(one.step, 30, one.loss * (1.02 if one.step % 2 else 0.99)) for one in STEPS]
    found = loss_difference(STEPS, other[:10], last=2)
    assert (found["steps"], found["last"]) == (10, 2)
    assert found["bf16"] == pytest.approx((3 / 9 + 3 / 10) / 2, abs=1e-5)
    assert found["difference_percent"] == pytest.approx(0.58, abs=0.01)
    assert found["mean_step_difference_percent"] == pytest.approx(1.526, abs=0.01)


def test_lengths_are_those_that_were_asked_for(tmp_path: Path) -> None:
    """As ms-swift will count them, within the tokens of one word; this tokenizer's own words are long."""
    model = make(tmp_path / "model")
    wanted = [*long(40), *short(400)]
    path = conversations(tmp_path / "d.jsonl", wanted, load_counter(model))
    got = measure(open_dataset(path), load_counter(model), 4096).tokens
    assert all(abs(want - size) <= 10 for want, size in zip(wanted, got, strict=True) if want > 80)
    assert sum(wanted[:40]) / 40 == pytest.approx(1230, rel=0.15)
    assert sum(size < 200 for size in wanted[40:]) / 400 == pytest.approx(0.95, abs=0.03)
    assert max(wanted) <= 2000


def test_how_many_times_the_article() -> None:
    rates = {"long:article": {"tokens_per_s": 5000}, "long:bf16": {"tokens_per_s": 12000}, "short:bf16": {"failed": ""}}
    assert ratios({"speed": rates}) == {"long:bf16": 2.4}


@pytest.fixture
def trainer(tmp_path: Path) -> Path:
    """In the place of a Python with ms-swift: fails for fp8, unless FINE is set."""
    script = tmp_path / "python"
    fake = Path(__file__).with_name("fake_trainer.py")
    script.write_text(
        "#!/bin/sh\nmode=ok\n"
        'case "$FINE$*" in --*|-m*fp8_format*) mode=oom;; esac\n'
        f'shift 2\nexec {sys.executable} {fake} megatron "$@" --steps 400 --pause 0.005 --mode $mode\n'
    )
    script.chmod(0o755)
    return script


def test_one_that_fails_does_not_stop_the_others_and_is_measured_again(
    tmp_path: Path, trainer: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = make(tmp_path / "model"), tmp_path / "out"
    words = ["--model", str(model), "--out", str(out), "--python", str(trainer), "--samples", "40"]
    assert main([*words, "--only", "long:article", "long:bf16", "long:fp8"]) == 1
    said = capsys.readouterr()
    first = json.loads(said.out)
    assert "long:fp8: failed: " in said.err
    assert "--set max_length=4096" in first["speed"]["long:fp8"]["failed"]
    assert first["speed"]["long:bf16"]["tokens_per_s"] > 0
    assert first["speed"]["long:article"]["steps"] == 12
    assert processes_with(str(out / "long-bf16")) == []  # ended long before its 400 steps
    assert not list(out.glob("*/v*/checkpoint-*"))
    monkeypatch.setenv("FINE", "1")
    assert main([*words, "--only", "long:bf16", "long:fp8"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["speed"]["long:bf16"] == first["speed"]["long:bf16"]
    assert set(second["times_the_article"]) == {"long:bf16", "long:fp8"}


def test_losses_of_both_precisions(
    tmp_path: Path, trainer: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINE", "1")
    model, out = make(tmp_path / "model"), tmp_path / "out"
    words = ["--model", str(model), "--out", str(out), "--python", str(trainer), "--samples", "40"]
    assert main([*words, "--loss", "30"]) == 0
    loss = json.loads(capsys.readouterr().out)["loss"]
    assert (loss["steps"], loss["last"], loss["difference_percent"]) == (30, 20, 0)
    assert len(loss["curves"]["fp8"]) == 30


def test_a_trainer_that_hangs_is_given_up(tmp_path: Path, trainer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer.write_text(trainer.read_text().replace("mode=ok", "mode=hang"))
    model, out = make(tmp_path / "model"), tmp_path / "out"
    words = ["--model", str(model), "--out", str(out), "--python", str(trainer), "--samples", "40", "--limit", "4"]
    assert main([*words, "--only", "long:bf16"]) == 1
    assert "only 4 steps were logged in time" in capsys.readouterr().err
    assert processes_with(str(out / "long-bf16")) == []


def test_a_machine_with_ms_swift_alone_can_measure_and_test() -> None:
    """What DocDuet needs besides pydantic and PyYAML is missing there; importing must not need it."""
    missing = ["typer", "rich", "pydantic_settings", "httpx", "orjson", "aiohttp", "gradio", "llama_index", "faiss"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing}))\n"
        "import benchmarks.sft_throughput, tests.conftest, tests.test_sft_training_megatron_large\n"
        "import tests.test_sft_training_megatron\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
