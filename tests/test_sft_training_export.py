"""A run's checkpoint becomes a served folder: with real tiny models, a real adapter, and all that can be amiss."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.checkpoints import current, read_manifest
from data.errors import CheckpointError, ConfigError, DiskFullError
from data.home import Home
from data.prompts import sft_messages
from docduet import app
from sft.training import convert
from sft.training.checkpoints import inspect
from sft.training.export import export
from sft.training.folder import RunInfo, Start, read_info, sha256, write_info
from tests.tiny_qwen3 import make

ARGV = (sys.executable, "-m", "swift.cli._megatron.main", "sft", "--tuner_type", "full", "--torch_dtype", "float32")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("tuned"), seed=1)


@pytest.fixture(scope="module")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real PEFT adapter whose second matrix is not zero, so that it changes something."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    folder = tmp_path_factory.mktemp("adapter")
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(folder)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    messages = [*sft_messages("Which port?"), {"role": "assistant", "content": "7860."}]
    (folder / "train.jsonl").write_text(json.dumps({"messages": messages}) + "\n")
    rows = [("train", "a.md", "1f"), ("train", "b.md", "2f"), ("val", "c.md", "3f")]
    lines = [{"split": split, "pages": [{"url": url, "hash": hash_}]} for split, url, hash_ in rows]
    (folder / "provenance.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def make_run(folder: Path, model: Path, dataset: Path, checkpoints: dict[int, Path]) -> Path:
    version = folder / "v0-20260101-000000"
    version.mkdir(parents=True)
    for step, source in checkpoints.items():
        checkpoint = version / f"checkpoint-{step}"
        shutil.copytree(source, checkpoint)
        (checkpoint / "optimizer.pt").write_bytes(b"x")
        (checkpoint / "trainer_state.json").write_text("{}")
    with (version / "logging.jsonl").open("w") as log:
        for step in range(1, 11):
            log.write(json.dumps({"loss": 1 / step, "grad_norm": 1.0, "iteration": f"{step}/10"}) + "\n")
    info = RunInfo(
        recipe="tiny-cpu",
        backend="swift",
        dataset=str(dataset),
        dataset_sha256=sha256(dataset),
        model=str(model),
        output_dir=str(folder),
        world_size=1,
        samples_per_step=4,
        max_length=256,
        samples=1,
        tokens=20,
        epochs=1.0,
        tokens_per_step=0,
        flops_per_token=0.0,
        peak_tflops=0.0,
        gpu="",
        versions={"ms-swift": "4.6.0"},
        starts=(Start(ARGV, {}, 1.0, outcome="finished", version=version.name),),
    )
    write_info(folder, info)
    return folder


@pytest.fixture
def full(tmp_path: Path, model: Path, tuned: Path, dataset: Path) -> Path:
    return make_run(tmp_path / "run", model, dataset, {5: model, 10: tuned})


@pytest.fixture
def lora(tmp_path: Path, model: Path, adapter: Path, dataset: Path) -> Path:
    return make_run(tmp_path / "lora", model, dataset, {10: adapter})


def logits(folder: Path, adapter: Path | None = None) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    network: Any = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        return (PeftModel.from_pretrained(network, adapter) if adapter else network)(
            input_ids=torch.arange(5, 25)[None]
        ).logits


def test_a_full_model_loads_with_the_same_logits(full: Path, tuned: Path) -> None:
    import torch

    done = export(full)
    assert done.folder == full / "export" / "checkpoint-10"
    assert torch.equal(logits(done.folder), logits(tuned))
    assert not (done.folder / "optimizer.pt").exists()
    assert not list(done.folder.parent.glob(".*"))


def test_weights_are_linked_and_not_copied(full: Path) -> None:
    done = export(full)
    source = full / "v0-20260101-000000" / "checkpoint-10" / "model.safetensors"
    assert os.path.samefile(done.folder / "model.safetensors", source)
    shutil.rmtree(source.parent)
    assert read_manifest(done.folder).step == 10  # the trainer may rotate its checkpoint away


def test_the_manifest_says_how_it_came_to_be(full: Path, model: Path, dataset: Path) -> None:
    manifest = read_manifest(export(full).folder)
    assert (manifest.kind, manifest.lora_rank, manifest.base_model) == ("full", None, str(model))
    assert manifest.system_prompt["zh"] == sft_messages("", lang="zh")[0]["content"]
    assert manifest.enable_thinking is False
    assert manifest.pages == {"a.md": "1f", "b.md": "2f"}
    assert manifest.dataset_sha256 == sha256(dataset)
    assert manifest.argv == ARGV
    assert manifest.recipe == "tiny-cpu"
    assert manifest.metrics["loss"] == pytest.approx(0.1)
    assert manifest.curves["loss"][0] == 1.0
    assert len(manifest.chat_template_sha256) == len(manifest.tokenizer_sha256) == 64
    assert manifest.files["model.safetensors"] > 0


def test_an_earlier_checkpoint_by_its_step(full: Path, model: Path) -> None:
    import torch

    done = export(full, step=5)
    assert torch.equal(logits(done.folder), logits(model))
    assert done.manifest.metrics["steps"] == 5
    with pytest.raises(ConfigError, match="whole ones: 5, 10"):
        export(full, step=7)


def test_a_half_written_checkpoint_is_passed_over(full: Path) -> None:
    weights = full / "v0-20260101-000000" / "checkpoint-10" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert export(full).manifest.step == 5
    with pytest.raises(ConfigError, match="half written"):
        export(full, step=10)


def test_a_sharded_model_lacking_a_shard_is_half_written(tmp_path: Path, model: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "checkpoint-1"
    AutoModelForCausalLM.from_pretrained(model).save_pretrained(folder, max_shard_size="100KB")
    assert inspect(folder).whole
    sorted(folder.glob("model-0*"))[-1].unlink()
    assert "is missing" in inspect(folder).problem


def test_an_adapter_is_taken_with_its_base_models_tokenizer(lora: Path, model: Path, adapter: Path) -> None:
    import torch

    done = export(lora)
    assert done.manifest.kind == "adapter"
    assert done.manifest.lora_rank == 4
    assert (done.folder / "tokenizer.json").read_bytes() == (model / "tokenizer.json").read_bytes()
    assert torch.equal(logits(model, done.folder), logits(model, adapter))


def test_a_merged_adapter_answers_like_base_and_adapter(lora: Path, model: Path, adapter: Path) -> None:
    import torch

    done = export(lora, merge=True)
    assert done.folder.name == "checkpoint-10-merged"
    assert done.manifest.kind == "full"
    torch.testing.assert_close(logits(done.folder), logits(model, adapter))
    assert not torch.allclose(logits(done.folder), logits(model), atol=1e-3)


def test_merging_what_is_no_adapter_is_refused(full: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to merge"):
        export(full, merge=True)


def test_a_folder_of_somebody_elses_is_never_replaced_and_an_export_is(full: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="is no exported checkpoint"):
        export(full, tmp_path / "mine")
    assert export(full, tmp_path / "served", step=5).manifest.step == 5
    assert export(full, tmp_path / "served").manifest.step == 10
    assert read_manifest(tmp_path / "served").step == 10


def test_a_failed_export_leaves_the_old_one(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(full, tmp_path / "served", step=5)

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sft.training.export.shutil.copy2", full_disk)
    with pytest.raises(DiskFullError, match="--out on another disk"):
        export(full, tmp_path / "served")
    assert read_manifest(tmp_path / "served").step == 5
    assert not list(tmp_path.glob(".served*"))


def test_pages_that_were_only_validated_with_are_told(full: Path, dataset: Path) -> None:
    done = export(full)
    assert sorted(done.manifest.pages) == ["a.md", "b.md"]
    assert done.notes[0].startswith("1 more pages were set aside for validation and not learned")
    rows = (dataset / "provenance.jsonl").read_text().splitlines(keepends=True)
    (dataset / "provenance.jsonl").write_text("".join(rows[:2]))
    assert export(full).notes == ()


def test_a_dataset_that_has_changed_names_no_pages(full: Path, dataset: Path) -> None:
    with (dataset / "train.jsonl").open("a") as lines:
        lines.write("\n")
    done = export(full)
    assert done.manifest.pages == {}
    assert "has changed since training" in done.notes[0]


def test_a_dataset_that_thinks_or_asks_in_other_words_is_noticed(full: Path, dataset: Path) -> None:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\na"}]
    (dataset / "train.jsonl").write_text(json.dumps({"messages": messages}) + "\n")
    (dataset / "provenance.jsonl").unlink()
    info = read_info(full)
    assert info
    write_info(full, replace(info, dataset_sha256=sha256(dataset)))
    done = export(full)
    assert done.manifest.enable_thinking is True
    assert len(done.notes) == 2


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "v0-1").mkdir()
    (tmp_path / "v0-1" / "logging.jsonl").write_text("")
    with pytest.raises(CheckpointError, match=r"no run\.json"):
        export(tmp_path)


def test_the_command_publishes(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["sft", "export", str(full), "--json"])
    assert json.loads(done.stdout)["served"] is False
    assert current(Home(tmp_path / "home")) is None
    done = CliRunner().invoke(app, ["sft", "export", str(full), "--checkpoint", "5", "--serve"])
    assert done.exit_code == 0, done.output
    assert "full model of step 5, trained on 2 pages" in done.output
    assert current(Home(tmp_path / "home")) == full / "export" / "checkpoint-5"


MODULE = (sys.executable, "-m", "swift.cli._megatron.main", "export")


def test_conversion_is_called_as_the_run_was() -> None:
    argv = (*ARGV, "--tensor_model_parallel_size", "2", "--model_type", "qwen3")
    there = convert.to_mcore(argv, Path("m"), Path("o"))
    assert there[:4] == MODULE
    for words in (("--model", "m"), ("--to_mcore", "true"), ("--test_convert_precision", "true")):
        assert words == there[there.index(words[0]) :][:2]
    assert there[there.index("--tensor_model_parallel_size") + 1] == "2"
    back = convert.to_hf(argv, Path("c"), "base", Path("o"))
    assert back[back.index("--mcore_model") + 1] == "c"
    lora = tuple("lora" if word == "full" else word for word in argv)
    assert "--mcore_adapter" in convert.to_hf(lora, Path("c"), "base", Path("o"))
    merged = convert.merge(lora, Path("a"), "b", Path("o"))
    assert merged[:4] == (sys.executable, "-m", "swift.cli.main", "export")
    assert "--check_model" not in merged  # an option of `megatron export` alone
    assert convert.to_mcore(("/opt/bin/swift", "sft"), Path("m"), Path("o"))[:2] == ("/opt/bin/megatron", "export")


def test_the_precision_test_is_read_and_held_to(tmp_path: Path) -> None:
    said = "mean_diff: 0.2, max_diff: 1\nmean_diff (with loss): {}, max_diff (with loss): 0.5 (Please check)"
    assert convert.precision(said.format("0.0123")) == 0.0123
    assert convert.precision("nothing") is None

    def printing(value: str) -> tuple[str, ...]:
        return (sys.executable, "-c", f"print({said.format(value)!r})")

    assert convert.convert(printing("0.05"), {}, tmp_path / "log") == 0.05
    for bad in ("0.2", "nan"):
        with pytest.raises(CheckpointError, match="the converted model differs"):
            convert.convert(printing(bad), {}, tmp_path / "log")
    with pytest.raises(CheckpointError, match="lacks the package megatron"):
        convert.convert((sys.executable, "-c", "import megatron"), {}, tmp_path / "log")
    with pytest.raises(CheckpointError, match="where Megatron is installed"):
        convert.convert(("/nowhere/megatron",), {}, tmp_path / "log")


def test_megatrons_own_weights_are_needed_to_convert_them(full: Path) -> None:
    with pytest.raises(ConfigError, match="holds no Megatron weights"):
        export(full, from_mcore=True)


def test_a_checkpoint_with_megatrons_weights_alone_is_gone_on_with_but_not_exported(full: Path) -> None:
    """Megatron was killed between its own format and the safetensors."""
    checkpoint = full / "v0-20260101-000000" / "checkpoint-15"
    (checkpoint / "iter_0000015").mkdir(parents=True)
    (checkpoint / "iter_0000015" / ".metadata").touch()
    (checkpoint / "latest_checkpointed_iteration.txt").write_text("15")
    (checkpoint / "args.json").write_text("{}")
    assert inspect(checkpoint).whole
    assert inspect(checkpoint).resumable
    assert export(full).manifest.step == 10


def test_an_adapter_of_another_model_cannot_be_merged(lora: Path, tmp_path: Path) -> None:
    info = read_info(lora)
    assert info
    other = make(tmp_path / "other", hidden=96)
    write_info(lora, replace(info, model=str(other)))
    with pytest.raises(CheckpointError, match="does not fit its base model"):
        export(lora, merge=True)
    assert not list((lora / "export").iterdir())
