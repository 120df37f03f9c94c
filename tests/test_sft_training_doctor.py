"""What is missing is said with its remedy: on this machine, and with a driver and packages that only look real."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from typer.testing import CliRunner

from data.errors import BusyError
from docduet import app
from sft.training import flags, swift_source
from sft.training.doctor import Check, examine, options_check
from sft.training.gpus import find_gpus
from sft.training.recipe import load_recipe

SMI = """#!/bin/sh
case "$1" in
--query-gpu=*) echo '0, GPU-a, NVIDIA H200, 143156, 61440, 580.95.05'
                 echo '1, GPU-b, NVIDIA H200, 143156, 4, 580.95.05';;
--query-compute-apps=*) echo 'GPU-a, 4711, /usr/bin/python3, 61000';;
esac
"""


def on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = SMI) -> None:
    (folder / "nvidia-smi").write_text(script)
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def bare(folder: Path) -> str:
    """A Python that has no package but those on PYTHONPATH."""
    script = folder / "bare"
    script.write_text(f'#!/bin/sh\nexec {sys._base_executable} -S "$@"\n')  # type: ignore[attr-defined]
    script.chmod(0o755)
    return str(script)


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_gpus_and_who_is_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(tmp_path, monkeypatch)
    first, second = find_gpus()
    assert (first.total, first.used, first.busy, second.busy) == (pytest.approx(139.8, abs=0.01), 60, True, False)
    assert first.who() == "GPU 0: 60.0 of 139.8 GiB in use by process 4711 (python3) 59.6 GiB"
    on_path(tmp_path, monkeypatch, "#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert find_gpus() == []


@pytest.mark.parametrize(
    ("chosen", "seen"), [("1", [1]), ("1,0", [1, 0]), ("GPU-b", [1]), ("", []), ("0,7,1", [0]), ("MIG-x", [0, 1])]
)
def test_only_gpus_that_a_program_would_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, seen: list[int]
) -> None:
    on_path(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert [gpu.index for gpu in find_gpus()] == seen


def test_a_busy_gpu_stops_a_run_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With who is on it; the GPU beside it is free, and one may insist."""
    on_path(tmp_path, monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    config = {"model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32}
    config |= {"num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    Tokenizer(models.WordLevel({"?": 0}, unk_token="?")).save(str(tmp_path / "model" / "tokenizer.json"))
    sample = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    (tmp_path / "d.jsonl").write_text(json.dumps(sample))

    def train(*more: str) -> tuple[BaseException | None, str]:
        words = ["--recipe", "qwen3-8b-1gpu", "--dataset", str(tmp_path / "d.jsonl"), "--model", f"{tmp_path}/model"]
        done = CliRunner().invoke(
            app, ["sft", "train", *words, "--out", str(tmp_path / "run"), "--python", "/bin/false", *more]
        )
        return done.exception, done.stderr

    stopped, _ = train()
    assert isinstance(stopped, BusyError)
    assert "process 4711 (python3) 59.6 GiB" in str(stopped)
    assert "--allow-busy" in str(stopped)
    assert not (tmp_path / "run").exists()
    for more, chosen in ((("--allow-busy",), "0"), ((), "1")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        ended, said = train(*more)
        assert isinstance(ended, SystemExit), ended
        assert "exit code 1" in said  # /bin/false was started
        assert ("process 4711" in said) == bool(more)


def test_every_lack_on_this_machine_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without any package, no driver: all that is needed is named, and the exit code says so."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    done = CliRunner().invoke(
        app, ["sft", "doctor", "--json", "--python", bare(tmp_path)], env={"DOCDUET_HOME": str(tmp_path)}
    )
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert not told["ok"]
    missing = {check["name"] for check in told["checks"] if check["state"] == "missing"}
    wanted = {
        "driver",
        "torch",
        "transformer-engine",
        "transformer-engine-torch",
        "megatron-core",
        "mcore-bridge",
        "ms-swift",
    }
    assert missing == wanted
    assert all(check["fix"] for check in told["checks"] if check["state"] == "missing")
    assert {"disk", "MODELSCOPE_CACHE", "apex (optional)", "flash-attn (optional)"} <= {
        c["name"] for c in told["checks"]
    }


def test_the_extension_of_transformer_engine_is_really_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is there but whose import fails is missing, with the reason."""
    (tmp_path / "transformer_engine" / "pytorch").mkdir(parents=True)
    (tmp_path / "transformer_engine" / "__init__.py").write_text("")
    init = tmp_path / "transformer_engine" / "pytorch" / "__init__.py"
    init.write_text("raise ImportError('libcudnn.so.9: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    recipe = load_recipe("tiny-gpu")
    check = by_name(examine(recipe, bare(tmp_path), tmp_path))["transformer_engine.pytorch"]
    assert check.state == "missing"
    assert "libcudnn.so.9" in check.found
    init.write_text("class Linear: ...")
    assert by_name(examine(recipe, bare(tmp_path), tmp_path))["transformer_engine.pytorch"].state == "ok"


def test_a_recipe_for_the_cpu_needs_no_gpu_and_nothing_of_megatron(tmp_path: Path) -> None:
    checks = by_name(examine(load_recipe("tiny-cpu"), sys.executable, tmp_path))
    assert checks.keys() <= {"python", "torch", "ms-swift", "ms-swift's options", "disk"}
    assert checks["torch"].state == "ok"


def test_too_few_or_too_small_gpus_for_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(tmp_path, monkeypatch)
    checks = by_name(examine(load_recipe("qwen3-8b-8gpu"), "/no/python", tmp_path))
    assert checks["GPUs"].state == "missing"
    assert "needs 8" in checks["GPUs"].fix
    assert checks["GPU 0 idle"].state == "warning"
    assert checks["python"].state == "missing"
    assert by_name(examine(load_recipe("qwen3-8b-1gpu"), "/no/python", tmp_path))["GPUs"].state == "ok"


def test_another_version_of_ms_swift_is_found_out_by_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = {backend: dict(flags.table(backend)) for backend in ("megatron", "swift")}
    read["megatron"]["brand_new"] = read["megatron"].pop("lr")
    monkeypatch.setattr(swift_source, "read_flags", lambda root: read)
    monkeypatch.setattr(swift_source, "version", lambda root: "4.7.0")
    check = options_check(tmp_path)
    assert check.state == "warning"
    assert "4.7.0 differs from 4.6.0: +brand_new, -lr" in check.found
