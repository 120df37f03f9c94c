"""A run, watched: a real child process that writes what ms-swift writes, and dies, hangs, diverges or is stopped."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import BusyError, ConfigError, DiskFullError
from sft.training import disk
from sft.training.checkpoints import Checkpoint, checkpoints
from sft.training.folder import locked, read_info, versions
from sft.training.launch import Launch, with_hooks
from sft.training.progress import PlainProgress
from sft.training.records import Run, read_run
from sft.training.resume import resumed
from sft.training.run import run
from sft.training.watch import Patience
from tests.fake_trainer import loss_at, processes_with, save, write_safetensors

TRAINER = Path(__file__).with_name("fake_trainer.py")
QUICK = Patience(poll_s=0.02, disk_s=0.02, save_s=5.0, polite_s=0.3)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    line = {"messages": [{"role": "user", "content": "Which port?"}, {"role": "assistant", "content": "7860."}]}
    (folder / "train.jsonl").write_text((json.dumps(line) + "\n") * 40)
    return folder


class Training:
    """Calls run() as `docduet sft train` does, and keeps what was said."""

    def __init__(self, folder: Path, dataset: Path, backend: str = "swift") -> None:
        self.folder, self.dataset, self.backend = folder, dataset, backend
        self.said: list[str] = []

    def launch(self, **options: Any) -> Launch:
        words = ["megatron", "sft"] if self.backend == "megatron" else ["sft"]
        options = {"output_dir": self.folder, "tuner_type": "full", "num_train_epochs": 2, **options}
        flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        argv = (sys.executable, str(TRAINER), *words, *flags)
        return with_hooks(Launch(argv, {"OWN": "1"}, self.folder, self.backend, 1, None, 512, 4))

    def start(self, resume: bool = False, **options: Any) -> int:
        self.said = []
        return run(
            self.launch(**options),
            self.folder,
            dataset=self.dataset,
            recipe="tiny-cpu",
            resume=resume,
            progress=PlainProgress(0.0, self.said.append),
            patience=QUICK,
        )

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def steps(self) -> list[int]:
        return [one.step for one in checkpoints(versions(self.folder)) if one.whole]

    def outcome(self) -> str:
        info = read_info(self.folder)
        assert info
        return info.starts[-1].outcome


@pytest.fixture(params=["swift", "megatron"])
def training(request: pytest.FixtureRequest, tmp_path: Path, dataset: Path) -> Training:
    return Training(tmp_path / "run", dataset, request.param)


@pytest.fixture
def swift(tmp_path: Path, dataset: Path) -> Training:
    return Training(tmp_path / "run", dataset)


def same_curve(run: Run, last: int) -> bool:
    return [step.step for step in run.steps] == list(range(1, last + 1)) and all(
        math.isclose(step.loss, loss_at(step.step)) for step in run.steps
    )


def test_a_run_ends_well(training: Training) -> None:
    assert training.start() == 0
    assert training.outcome() == "finished"
    assert training.steps() == [5, 10, 15, 20]
    read = read_run(training.folder)
    assert same_curve(read, 20)
    assert [one.step for one in read.evaluations] == [10, 20]
    assert "step 20/20: loss" in training.text
    assert "tokens/s" in training.text
    assert "12.5 GiB" in training.text
    assert f"docduet sft export {training.folder}" in training.text


def test_run_json_says_what_was_started(swift: Training) -> None:
    swift.start()
    info = read_info(swift.folder)
    assert info
    assert info.recipe == "tiny-cpu"
    assert info.dataset == str(swift.dataset)
    assert len(info.dataset_sha256) == 64
    assert info.samples == 40
    assert info.tokens > 0
    assert info.starts[0].argv == swift.launch().argv
    assert info.starts[0].env == swift.launch().env
    assert "torch" in info.versions


def test_samples_and_speed_follow_from_the_dataset(swift: Training) -> None:
    swift.start()
    read = read_run(swift.folder)
    assert read.info
    assert read.steps[-1].samples == 80  # two epochs of 40
    for step in read.steps[1:]:
        assert step.tokens_per_s == pytest.approx(read.info.tokens * 2 / 20 / step.seconds)


def test_resume_goes_on_to_the_same_curve(training: Training) -> None:
    assert training.start(mode="die") == 1
    assert training.outcome() == "failed"
    assert "the data loader died" in training.text
    assert "2 steps after it are lost" in training.text
    assert training.start(resume=True) == 0
    read = read_run(training.folder)
    assert same_curve(read, 20)
    assert read.info
    assert [start.from_step for start in read.info.starts] == [0, 5]
    assert all(step.seconds > 0 for step in read.steps)


def test_a_finished_run_is_not_started_again(swift: Training) -> None:
    swift.start()
    assert swift.start(resume=True) == 0
    assert "has finished" in swift.text
    assert len(list(swift.folder.glob("v*"))) == 1


def test_a_half_written_checkpoint_is_never_used(swift: Training) -> None:
    assert swift.start(mode="half") == 1
    assert swift.steps() == [5]
    assert swift.start(resume=True) == 0
    assert "checkpoint-10 is half written" in swift.text
    info = read_info(swift.folder)
    assert info
    assert info.starts[-1].from_step == 5


def test_a_second_run_in_the_same_folder_is_refused(swift: Training) -> None:
    swift.start()
    with pytest.raises(ConfigError, match="go on with --resume, or give another --out"):
        swift.start()


def test_a_start_that_came_to_nothing_may_be_repeated(swift: Training) -> None:
    assert swift.start(mode="missing") == 1
    assert "lacks the package transformer_engine: `docduet sft doctor`" in swift.text
    assert swift.start() == 0


def test_resume_without_a_run_is_refused(swift: Training) -> None:
    with pytest.raises(ConfigError, match="no run to go on with"):
        swift.start(resume=True)


def test_resume_with_another_dataset_is_refused(swift: Training) -> None:
    swift.start(mode="die")
    with (swift.dataset / "train.jsonl").open("a") as lines:
        lines.write('{"messages": []}\n')
    with pytest.raises(ConfigError, match="the loss curve would break"):
        swift.start(resume=True)


def test_resume_without_the_optimisers_state_is_refused(training: Training) -> None:
    training.start(mode="die", optimiser="false")
    with pytest.raises(ConfigError, match=r"--model .*checkpoint-5"):
        training.start(resume=True, optimiser="false")


def test_resume_says_which_options_changed(swift: Training) -> None:
    swift.start(mode="die", lr="1e-5")
    swift.start(resume=True, lr="2e-5")
    assert "options differ from the first start's, so will the curve: lr, mode" in swift.text


@pytest.mark.parametrize("mode", ["nan", "runaway"])
def test_a_loss_that_runs_away_stops_the_run(training: Training, mode: str) -> None:
    assert training.start(mode=mode, steps=10_000, save_steps=5) == 3
    assert training.outcome() == "diverged"
    assert "checkpoint-10" in training.text
    said = {"nan": "the loss is nan at step 12", "runaway": "the loss ran away: 40"}[mode]
    assert said in training.text
    assert training.start(resume=True, steps=20) == 0
    info = read_info(training.folder)
    assert info
    assert info.starts[-1].from_step == 10  # not one that was written after the trouble began


def test_memory_that_runs_out_is_explained(swift: Training) -> None:
    assert swift.start(mode="oom", max_length=8192) == 1
    assert "process 4711 of somebody else holds 60.00 GiB" in swift.text
    assert "--set max_length=4096" in swift.text
    assert "--recipe qwen3-8b-lora" in swift.text


def interrupt(when: Callable[[], bool], number: signal.Signals, times: int = 1) -> threading.Thread:
    """Signal this process once ``when`` holds."""

    def wait() -> None:
        while not when():
            time.sleep(0.02)
        for _ in range(times):
            os.kill(os.getpid(), number)
            time.sleep(0.3)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(training: Training, number: signal.Signals) -> None:
    thread = interrupt(lambda: "step 6/" in training.text, number)
    assert training.start(steps=10_000, save_steps=5_000, pause=0.05) == 128 + number
    thread.join()
    assert training.outcome() == "stopped"
    (step,) = training.steps()
    assert step >= 6
    assert "steps after it are lost" not in training.text
    assert not (training.folder / "stop").exists()
    assert training.start(resume=True, steps=step + 5) == 0
    assert same_curve(read_run(training.folder), step + 5)


def test_a_trainer_that_does_not_obey_is_killed_and_the_loss_is_said(swift: Training) -> None:
    thread = interrupt(lambda: "step 4/" in swift.text, signal.SIGINT, times=2)
    assert swift.start(mode="deaf", save_steps=3) == 130
    thread.join()
    assert "1 steps after it are lost" in swift.text


WRAPPED = """
import subprocess, sys  # as ms-swift's command starts torchrun, and torchrun a worker in a session of its own
if sys.argv[1] == "torchrun":
    sys.exit(subprocess.Popen(sys.argv[2:], start_new_session=True).wait())
sys.exit(subprocess.run([sys.executable, sys.argv[0], "torchrun", *sys.argv[1:]]).returncode)
"""


@pytest.mark.parametrize("mode", ["hang", "deaf", "nan"])
def test_no_worker_of_torchrun_is_left_behind(swift: Training, tmp_path: Path, mode: str) -> None:
    """Neither one that hangs, nor one that ignores SIGTERM, nor one that would go on training."""
    swift.said = []
    (tmp_path / "wrapper.py").write_text(WRAPPED)
    plain = swift.launch(mode=mode, steps=10_000)
    launch = replace(plain, argv=(sys.executable, str(tmp_path / "wrapper.py"), *plain.argv))
    if mode != "nan":
        interrupt(lambda: "step 4/" in swift.text, signal.SIGTERM, times=2)
    progress = PlainProgress(0.0, swift.said.append)
    code = run(launch, swift.folder, dataset=swift.dataset, recipe="x", progress=progress, patience=QUICK)
    assert code == (3 if mode == "nan" else 143), swift.text
    assert processes_with(str(swift.folder)) == []


def test_a_trainer_that_hangs_is_given_up_when_asked_to_stop(swift: Training) -> None:
    thread = interrupt(lambda: "step 4/" in swift.text, signal.SIGTERM)
    swift.said = []
    code = run(
        swift.launch(mode="hang", save_steps=2),
        swift.folder,
        dataset=swift.dataset,
        recipe="tiny-cpu",
        progress=PlainProgress(0.0, swift.said.append),
        patience=Patience(0.02, 0.02, 0.5, 0.3),
    )
    thread.join()
    assert code == 143
    assert "checkpoint-4" in swift.text


def test_a_folder_in_use_is_refused(swift: Training) -> None:
    swift.folder.mkdir()
    with locked(swift.folder), pytest.raises(BusyError, match="a training run is going on"):
        swift.start()


def test_the_trainer_holds_the_lock_when_the_watcher_is_killed(swift: Training, tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nfrom tests.test_sft_training_run import Training\n"
        f"Training(Path({str(swift.folder)!r}), Path({str(swift.dataset)!r})).start(mode='hang')\n"
    )
    watcher = subprocess.Popen([sys.executable, "-c", script], cwd=TRAINER.parents[1])
    log = swift.folder / "v0-20260101-000000" / "logging.jsonl"
    while not log.exists() or '"4/20"' not in log.read_text():
        time.sleep(0.05)
    watcher.kill()
    watcher.wait()
    with pytest.raises(BusyError):
        swift.start(resume=True)
    (trainer,) = processes_with(str(swift.folder))
    os.kill(trainer, signal.SIGKILL)
    while _alive(trainer):
        time.sleep(0.02)
    assert swift.start(resume=True) == 0


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_full_disk_is_refused_before_the_start(swift: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda path: 1000)
    with pytest.raises(DiskFullError, match="save_total_limit=2"):
        swift.start()
    assert not list(swift.folder.glob("v*"))


def test_a_disk_that_fills_up_stops_the_run_while_it_can_be_gone_on_with(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = training.folder / "v0-20260101-000000" / "checkpoint-10" / "model.safetensors"
    guard = disk.Guard.__init__

    def small(self: disk.Guard, out: Path, estimate: float) -> None:
        guard(self, out, estimate, lambda path: 100 if written.exists() else 10**12)

    monkeypatch.setattr(disk.Guard, "__init__", small)
    assert training.start(steps=10_000, pause=0.02) == 4
    assert "the disk is nearly full" in training.text
    monkeypatch.undo()
    assert training.start(resume=True, steps=20) == 0
    assert same_curve(read_run(training.folder), 20)


def test_a_command_that_is_not_there(swift: Training) -> None:
    launch = Launch(("/nowhere/megatron", "sft"), {}, swift.folder, "megatron", 1, None, 512, 4)
    with pytest.raises(ConfigError, match="docduet sft doctor"):
        run(launch, swift.folder, dataset=swift.dataset, recipe="x", progress=PlainProgress(0.0, swift.said.append))


def test_other_nodes_leave_the_record_to_the_first_and_go_on_with_it(training: Training) -> None:
    def second(resume: bool, **options: Any) -> int:
        one = training.launch(**options)
        launch = replace(one, env={**one.env, "NODE_RANK": "1", "NNODES": "2"})
        progress = PlainProgress(0.0, training.said.append)
        return run(launch, training.folder, dataset=training.dataset, recipe="x", resume=resume, progress=progress)

    assert second(resume=False, steps=3, output_dir=training.folder / "elsewhere") == 0
    assert not (training.folder / "run.json").exists()
    assert training.start(mode="die") == 1
    assert second(resume=True, steps=9, output_dir=training.folder / "elsewhere") == 0
    log = (training.folder / "train-node1.log").read_text()
    assert log.count("--- ") == 2
    assert "checkpoint-5" in log
    info = read_info(training.folder)
    assert info
    assert len(info.starts) == 1


def test_a_folder_that_was_moved(swift: Training) -> None:
    swift.start(mode="die")
    moved = swift.folder.rename(swift.folder.with_name("moved"))
    assert read_run(moved).steps
    swift.folder = moved
    assert swift.start(resume=True) == 0
    assert same_curve(read_run(moved), 20)


def test_checkpoints_that_are_not_whole(tmp_path: Path) -> None:
    save(tmp_path, 1, megatron=False)
    save(tmp_path, 2, megatron=True)
    save(tmp_path, 3, megatron=False, half=True)
    save(tmp_path, 4, megatron=True)
    (tmp_path / "checkpoint-4" / "iter_0000004" / ".metadata").unlink()
    save(tmp_path, 5, megatron=False)
    (tmp_path / "checkpoint-5" / "trainer_state.json").unlink()
    save(tmp_path, 6, megatron=False)
    (tmp_path / "checkpoint-6" / "model.safetensors").rename(
        tmp_path / "checkpoint-6" / "model-00001-of-00002.safetensors"
    )
    (tmp_path / "checkpoint-7").mkdir()
    save(tmp_path, 8, megatron=False)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "checkpoint-8" / "model.safetensors.index.json").write_text(json.dumps(index))
    save(tmp_path, 9, megatron=False, optimiser=False)
    problems = {one.step: one.problem for one in checkpoints([tmp_path])}
    assert problems == {
        1: "",
        2: "",
        3: "model.safetensors is cut short",
        4: "the optimiser's state is incomplete",
        5: "trainer_state.json is missing",
        6: "the index of its weights is missing",
        7: "there are no weights in it",
        8: "model-2.safetensors is missing",
        9: "",
    }
    assert [one.step for one in checkpoints([tmp_path]) if one.resumable] == [1, 2, 5, 6, 8]


def test_a_header_that_is_no_safetensors(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    write_safetensors(folder / "model.safetensors")
    for damage in (b"", b"\xff" * 40, (folder / "model.safetensors").read_bytes()[:20]):
        (folder / "model.safetensors").write_bytes(damage)
        assert checkpoints([tmp_path])[0].problem == "model.safetensors is cut short"


@pytest.mark.parametrize("backend", ["swift", "megatron"])
def test_ms_swift_knows_the_options_that_are_added(backend: str, tmp_path: Path) -> None:
    """Against the table read from ms-swift's source."""
    from sft.training.flags import check

    plain = Launch(("python", "-m", "x", "sft"), {}, tmp_path, backend, 1, None, 512, 4)
    (chosen,) = [one for one in _one_checkpoint(tmp_path) if one.whole]
    argv = resumed(with_hooks(plain).argv, backend, chosen)[4:]
    flags = {name[2:]: value for name, value in zip(argv[::2], argv[1::2], strict=True)}
    assert {"external_plugins", "callbacks", "add_version"} < set(flags)
    assert check(backend, flags).keys() == flags.keys()


def _one_checkpoint(folder: Path) -> list[Checkpoint]:
    save(folder, 1, megatron=True)
    return checkpoints([folder])


def test_callbacks_of_the_recipe_stay(tmp_path: Path) -> None:
    launch = Launch(("x", "sft", "--callbacks", "early_stop"), {}, tmp_path, "swift", 1, None, 512, 4)
    argv = with_hooks(launch).argv
    at = argv.index("--callbacks")
    assert argv[at + 1 : at + 3] == ("stop_on_request", "early_stop")
    assert argv.count("--callbacks") == 1
