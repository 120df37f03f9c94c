"""The demonstration's engine: what there is of the bundled model, and what a person is told where a part is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data import checkpoints
from data.checkpoints import Manifest, current, is_demo, publish, read_manifest, write_manifest
from data.errors import EngineStartError
from data.home import Home
from rag.config import RagConfig
from serving.config import EngineConfig
from serving.engines import demo, vllm
from serving.engines.supervisor import Supervisor


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docduet-tiny"
    monkeypatch.setattr(checkpoints, "DEMO_FOLDER", folder)
    return folder


def base(bundled: Path) -> Path:
    (bundled / "base").mkdir(parents=True)
    (bundled / "base" / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    return bundled / "base"


def adapter(bundled: Path) -> Path:
    (bundled / "adapter").mkdir(parents=True)
    write_manifest(bundled / "adapter", Manifest(kind="adapter", base_model="../base", lora_rank=32, system_prompt={}))
    return bundled / "adapter"


def test_without_a_model_answers_are_quoted(bundled: Path) -> None:
    adapter(bundled)  # nothing without its base
    assert demo.demo_engine().engines == ()
    assert "no model comes with this version" in demo.demo_engine().said


def test_without_vllm_answers_are_quoted(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base(bundled)

    def missing() -> str:
        raise EngineStartError("vLLM is not installed")

    monkeypatch.setattr(demo, "installed", missing)
    assert demo.demo_engine().engines == ()
    assert "make engine" in demo.demo_engine().said


def test_one_engine_holds_base_and_adapter(bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "installed", lambda: "0.32.0+cpu")
    monkeypatch.setattr(vllm, "installed", lambda: "0.32.0+cpu")
    folder = base(bundled)
    assert not demo.demo_engine().engines[0].lora
    taught = adapter(bundled)
    (engine,) = demo.demo_engine().engines
    assert engine.quote_below < 0
    assert is_demo(engine.model)
    argv = vllm.launch(engine, 1).argv
    assert "--enable-lora" in argv
    assert argv[argv.index("--max-lora-rank") + 1] == "32"
    assert Supervisor((engine,), tmp_path).lora_host(read_manifest(taught).base_model) == "base"
    assert EngineConfig(model="docduet-tiny").model == str(folder)


def test_it_reads_less_unless_something_else_is_said(bundled: Path) -> None:
    small, large = EngineConfig(model=str(base(bundled))), EngineConfig(name="sft", model="Qwen/Qwen3-8B")
    assert demo.readable(RagConfig(), (large, small)).context_tokens == demo.CONTEXT_TOKENS
    assert demo.readable(RagConfig(context_tokens=2400), (small,)).context_tokens == 2400
    assert demo.readable(RagConfig(), (large,)).context_tokens == RagConfig().context_tokens


def test_it_is_served_with_care_wherever_it_is_named(bundled: Path) -> None:
    folder = base(bundled)
    for model in ("docduet-tiny", str(folder)):
        engine = EngineConfig(model=model)
        assert (engine.quote_below, engine.rewrites) == (-0.05, False)
    own = EngineConfig(model="docduet-tiny", quote_below=0.0, rewrites=True)
    assert (own.quote_below, own.rewrites) == (0.0, True)
    other = EngineConfig(model="Qwen/Qwen3-8B")
    assert (other.quote_below, other.rewrites) == (0.0, True)


def test_its_name_is_refused_where_it_does_not_come_along(bundled: Path) -> None:
    with pytest.raises(ValueError, match="no docduet-tiny comes with this version"):
        EngineConfig(model="docduet-tiny")


def test_the_bundled_adapter_is_published_unless_another_is_there(bundled: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    demo.publish_bundled(home)
    assert current(home) is None
    base(bundled)
    mine = adapter(bundled)
    demo.publish_bundled(home)
    assert current(home) == mine
    other = tmp_path / "other"
    other.mkdir()
    write_manifest(other, Manifest(kind="full", base_model="x", system_prompt={}))
    publish(home, other)
    demo.publish_bundled(home)
    assert current(home) == other
    (other / "manifest.json").unlink()
    other.rmdir()
    demo.publish_bundled(home)
    assert current(home) == mine
