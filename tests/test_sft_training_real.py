"""Against the real `swift sft` of ms-swift, on the CPU: train, stop, kill, go on, two nodes, export.

Needs an environment with ms-swift: the interpreter named by DOCDUET_TRAIN_PYTHON, or .venv-train/bin/python.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.checkpoints import current, read_manifest
from data.home import Home
from sft.training import convert
from sft.training.export import export
from sft.training.folder import read_info
from sft.training.launch import Launch, with_hooks
from sft.training.questions import Question, Server, ask_all
from sft.training.records import Run, read_run
from tests.fake_trainer import processes_with
from tests.tiny_qwen3 import make
from tests.training_runs import PYTHON, ROOT, once, ports, train, write_dataset

STEPS = 24

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(Path(sys.executable) == PYTHON, reason="no training environment: set DOCDUET_TRAIN_PYTHON"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), ports())


def launch(model: Path, dataset: Path, out: Path, env: dict[str, str] | None = None, **options: Any) -> Launch:
    flags: dict[str, Any] = {
        "model": model,
        "dataset": dataset / "train.jsonl",
        "output_dir": out,
        "tuner_type": "full",
        "torch_dtype": "float32",
        "template": "qwen3",
        "model_type": "qwen3",
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 3,
        "learning_rate": 1e-3,
        "max_length": 256,
        "save_steps": 5,
        "logging_steps": 1,
        "report_to": "none",
        "split_dataset_ratio": 0,
        "check_model": "false",
        "dataloader_num_workers": 0,
        **options,
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **(env or {})}
    argv = (str(PYTHON), "-m", "swift.cli.main", "sft", *words)
    return with_hooks(Launch(argv, offline, out, "swift", 1, None, 256, 8))


@pytest.fixture(scope="module")
def whole(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained without a break."""
    said: list[str] = []
    out = tmp_path_factory.mktemp("whole")
    assert train(launch(model, dataset, out), dataset, said) == 0, said
    return read_run(out)


def same_curve(one: Run, other: Run) -> None:
    assert [step.step for step in one.steps] == [step.step for step in other.steps]
    assert [step.loss for step in one.steps] == pytest.approx([step.loss for step in other.steps], rel=1e-4)


def test_the_loss_falls_and_everything_is_logged(whole: Run) -> None:
    assert [step.step for step in whole.steps] == list(range(1, STEPS + 1))
    assert whole.steps[-1].loss < whole.steps[0].loss
    assert whole.steps[-1].samples == 192
    assert all(step.tokens_per_s > 0 for step in whole.steps[1:])


def test_sigterm_saves_and_resume_goes_on_to_the_same_curve(
    model: Path, dataset: Path, whole: Run, tmp_path: Path
) -> None:
    said: list[str] = []
    thread = once(lambda: any("step 6/" in line for line in said), lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(launch(model, dataset, tmp_path), dataset, said) == 143, said
    thread.join()
    assert not any("are lost" in line for line in said), said
    assert train(launch(model, dataset, tmp_path), dataset, said, resume=True) == 0, said
    info = read_info(tmp_path)
    assert info
    assert info.starts[-1].from_step >= 6
    same_curve(read_run(tmp_path), whole)


def test_kill_and_resume_go_on_to_the_same_curve(model: Path, dataset: Path, whole: Run, tmp_path: Path) -> None:
    said: list[str] = []

    def kill() -> None:
        for pid in processes_with(str(tmp_path)):
            os.kill(pid, signal.SIGKILL)

    thread = once(lambda: any("step 12/" in line for line in said), kill)
    assert train(launch(model, dataset, tmp_path), dataset, said) == 1, said
    thread.join()
    assert train(launch(model, dataset, tmp_path), dataset, said, resume=True) == 0, said
    info = read_info(tmp_path)
    assert info
    assert info.starts[-1].from_step in (5, 10, 15, 20)
    same_curve(read_run(tmp_path), whole)


def test_the_exported_folder_loads_with_equal_logits(whole: Run, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = export(whole.folder, tmp_path / "served")
    checkpoint = next(whole.folder.glob(f"v*/checkpoint-{STEPS}"))
    tokens = AutoTokenizer.from_pretrained(done.folder)("Which port?", return_tensors="pt").input_ids
    with torch.no_grad():
        before, after = (
            AutoModelForCausalLM.from_pretrained(path)(tokens).logits for path in (checkpoint, done.folder)
        )
    assert torch.equal(before, after)
    manifest = read_manifest(done.folder)
    assert manifest.step == STEPS
    assert manifest.metrics["loss"] == pytest.approx(whole.steps[-1].loss)


def test_an_adapter_is_trained_merged_and_equal(model: Path, dataset: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    said: list[str] = []
    out = tmp_path / "run"
    what = launch(model, dataset, out, tuner_type="lora", lora_rank=4, num_train_epochs=1)
    assert train(what, dataset, said) == 0, said
    adapter, merged = export(out, tmp_path / "adapter"), export(out, tmp_path / "merged", merge=True)
    assert adapter.manifest.lora_rank == 4
    info = read_info(out)
    assert info
    argv = convert.merge(info.starts[-1].argv, next(out.glob("v*/checkpoint-8")), str(model), tmp_path / "by-swift")
    assert convert.convert(argv, info.starts[-1].env, tmp_path / "by-swift.log") is None  # where peft is not at hand
    tokens = torch.arange(5, 25)[None]
    with torch.no_grad():
        over_base = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter.folder)
        logits = over_base(input_ids=tokens).logits
        for folder in (merged.folder, tmp_path / "by-swift"):
            torch.testing.assert_close(AutoModelForCausalLM.from_pretrained(folder)(tokens).logits, logits)


def test_two_nodes_on_loopback(model: Path, dataset: Path, tmp_path: Path) -> None:
    """Each node is a process of its own; the first keeps the record."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = (
        "import sys; from pathlib import Path; from tests.test_sft_training_real import launch, train\n"
        "model, dataset, out, env = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), eval(sys.argv[4])\n"
        "said, more = [], {'ddp_backend': 'gloo', 'num_train_epochs': 2}\n"
        "code = train(launch(model, dataset, out, env, **more), dataset, said)\n"
        "print(*said, sep='\\n'); sys.exit(code)\n"
    )
    nodes = []
    for rank in (0, 1):
        env = {"NNODES": "2", "NODE_RANK": str(rank), "NPROC_PER_NODE": "1", "MASTER_ADDR": "127.0.0.1"}
        env["MASTER_PORT"] = str(port)
        words = [sys.executable, "-c", script, str(model), str(dataset), str(tmp_path / "run"), repr(env)]
        nodes.append(subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    outputs = [node.communicate(timeout=600)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    read = read_run(tmp_path / "run")
    assert read.steps[-1].step == read.steps[-1].total == 8  # 64 samples, 2 nodes of 8, 2 epochs
    assert (tmp_path / "run" / "train-node1.log").is_file()


def docduet(folder: Path, *words: str) -> str:
    """The command line, in a process of its own."""
    env = {**os.environ, "DOCDUET_HOME": str(folder / "home"), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "docduet", *words]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_the_recipe_to_an_engine_that_serves(model: Path, dataset: Path, tmp_path: Path) -> None:
    """`docduet sft train` by the recipe tiny-cpu, `sft export --serve`, and vLLM's CPU build answers."""
    from serving.config import EngineConfig
    from serving.engines import vllm
    from serving.engines.watched import free_port

    vllm.installed()
    what = ("--recipe", "tiny-cpu", "--dataset", str(dataset), "--model", str(model), "--python", str(PYTHON))
    longer = ("--set", "num_train_epochs=60", "--set", "learning_rate=3e-3", "--set", "logging_steps=10")
    docduet(tmp_path, "sft", "train", *what, *longer, "--out", str(tmp_path / "run"))
    docduet(tmp_path, "sft", "export", str(tmp_path / "run"), "--serve")
    folder = current(Home(tmp_path / "home"))
    assert folder
    port = free_port()
    serve = vllm.launch(EngineConfig(name="sft", model=str(folder), args=("--enforce-eager",)), port)
    with (tmp_path / "engine.log").open("wb") as log:
        engine = subprocess.Popen(
            serve.argv, env={**os.environ, **serve.env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}/v1"
            until_ready(engine, url, tmp_path / "engine.log")
            _, (answer,) = ask_all(Server(url), [Question("Which port does part 3 listen on?", "en", True)], 40)
            assert re.search(r"Part \d+ listens on port 70\d\d", answer.text), answer
        finally:
            os.killpg(engine.pid, signal.SIGKILL)
            engine.wait()


def until_ready(engine: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(600):
        assert engine.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"{url}/models", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail(f"the engine did not get ready: {log.read_text()[-3000:]}")
