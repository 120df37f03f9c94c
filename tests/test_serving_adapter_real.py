"""A real vLLM holds the base model and an adapter, and changes the adapter while it runs (`make test-real`)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.checkpoints import Manifest, publish, write_manifest
from data.home import Home
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines import vllm
from serving.engines.checkpoint import CheckpointEngine
from serving.engines.supervisor import Supervisor
from serving.server import in_background
from tests import tiny_qwen3

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def lora(folder: Path, base: Path, seed: int, rank: int = 8) -> Path:
    """A PEFT adapter with random weights as large as the model's own: what it changes shows in the first token."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    sizes = json.loads((base / "config.json").read_text())
    hidden, wide = sizes["hidden_size"], sizes["num_attention_heads"] * sizes["head_dim"]
    weights: dict[str, Any] = {}
    for layer in range(sizes["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora"
        weights[f"{name}_A.weight"] = torch.randn(rank, hidden) / 5
        weights[f"{name}_B.weight"] = torch.randn(wide, rank) / 5
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj.lora"
        weights[f"{name}_A.weight"] = torch.randn(rank, wide) / 5
        weights[f"{name}_B.weight"] = torch.randn(hidden, rank) / 5
    folder.mkdir(parents=True)
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj", "o_proj"],
              "base_model_name_or_path": str(base), "bias": "none", "task_type": "CAUSAL_LM"}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    write_manifest(folder, Manifest(kind="adapter", base_model=str(base), lora_rank=rank, system_prompt={}))
    return folder


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.3)


def test_one_engine_base_and_two_adapters_one_after_the_other(tmp_path: Path) -> None:
    vllm.installed()
    home, base = Home(tmp_path / "home"), tiny_qwen3.make(tmp_path / "base")
    engine = EngineConfig(model=str(base), lora=True, lora_rank=8, args=("--enforce-eager",))
    config = ServingConfig(engines=(engine,))
    supervisor = Supervisor(config.engines, home.logs)
    checkpoint = CheckpointEngine(home, supervisor, config, poll_s=0.2)
    app = create_app(config, supervisor, LiveIndex(home, RagConfig()), checkpoint=checkpoint)
    with in_background(app) as url:

        def served() -> dict[str, float]:
            """What the engine serves, with the log probability of its first word."""
            address = supervisor.engines["base"].base_url
            listed = [model["id"] for model in httpx.get(f"{address}/models", timeout=60).json()["data"]]
            return {name: first_word(address, name) for name in listed}

        def asked() -> int:
            body = {"model": "sft", "messages": [{"role": "user", "content": "port"}], "max_tokens": 8}
            return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).status_code

        until(lambda: httpx.get(f"{url}/readyz").json()["parts"]["engines"]["base"]["state"] == "ready")
        publish(home, lora(tmp_path / "first", base, 1))
        until(lambda: asked() == 200)
        first = served()
        assert list(first) == ["base", "sft-1"]
        publish(home, lora(tmp_path / "second", base, 2))
        until(lambda: list(served()) == ["base", "sft-2"])
        second = served()
        assert asked() == 200
        assert len({first["base"], first["sft-1"], second["sft-2"]}) == 3
        assert first["base"] == pytest.approx(second["base"], abs=1e-3)
        publish(home, lora(tmp_path / "third", base, 3, rank=16))
        until(lambda: "LoRA rank 16" in httpx.get(f"{url}/readyz").json()["parts"]["checkpoint"].get("problem", ""))
        assert list(served()) == ["base", "sft-2"]
        assert asked() == 200


def first_word(address: str, model: str) -> float:
    body = {"model": model, "messages": [{"role": "user", "content": "port"}], "max_tokens": 1, "logprobs": True}
    choice = httpx.post(f"{address}/chat/completions", json=body | {"temperature": 0}, timeout=60).json()["choices"][0]
    return round(float(choice["logprobs"]["content"][0]["logprob"]), 4)
