"""What the trainer's last words mean, in words for a person, and what to try next.

The trainer ends with a Python traceback; the reasons that come up again and again are known here by the words that
torch, CUDA, NCCL and ms-swift use. Nothing fits: the last lines are shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sft.training.folder import is_on, option

TAIL_BYTES = 256 * 1024

_OOM = re.compile(r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|Failed to CUDA calloc")
_OTHERS = re.compile(r"Process (\d+) has ([\d.]+ [GM]iB) memory in use")
_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"all CUDA-capable devices are busy or unavailable",
        "the GPU is taken by somebody else: `nvidia-smi` shows by whom; wait, or choose another with "
        "CUDA_VISIBLE_DEVICES",
    ),
    (
        r"no CUDA GPUs are available|Found no NVIDIA driver|Torch not compiled with CUDA|No CUDA runtime is found",
        "no GPU can be used from here: `docduet sft doctor` says what is missing; the recipe tiny-cpu needs none",
    ),
    (
        r"No space left on device|\[Errno 28\]",
        "the disk is full: free some space or set save_total_limit=2, then go on with --resume",
    ),
    (
        r"found NaN in local (?:forward )?(?:loss|grad)|NaN in loss|Unexpected result nan",
        "loss or gradients became NaN: lower the learning rate (--set lr=5e-6), look for broken samples, and start "
        "again from the last checkpoint",
    ),
    (
        r"EADDRINUSE|[Aa]ddress already in use",
        "the port for the processes' rendezvous is taken: another run holds it, or give --master HOST:PORT",
    ),
    (
        r"NCCL (?:error|timeout)|ncclUnhandled|ncclRemoteError|ProcessGroupNCCL.*Watchdog caught",
        "the GPUs could not talk to each other: NCCL_DEBUG=INFO in front of the command says more; check that all "
        "nodes run the same command and reach the master",
    ),
    (
        r"remaining_argv: \[(.+?)\]",
        "ms-swift does not know these options: {0}; see `docduet sft train --dry-run`",
    ),
    (
        r"cache_.*truncation|The dataset is empty|len\(dataset\)=0|number of samples is 0",
        "no sample was left: all are longer than max_length, or the file is empty; `docduet sft plan` counts them",
    ),
)


def tail(log: Path, size: int = TAIL_BYTES) -> str:
    """The end of a log; "" where there is none. Progress bars' carriage returns become line ends."""
    try:
        with log.open("rb") as source:
            source.seek(0, 2)
            source.seek(max(0, source.tell() - size))
            return source.read().decode("utf-8", "replace").replace("\r", "\n")
    except OSError:
        return ""


def explain(text: str, argv: Sequence[str], recipe: str) -> str:
    """Why the trainer failed and what to do; the last line of its traceback where that is not known."""
    if _OOM.search(text):
        return _memory(text, argv, recipe)
    if missing := re.findall(r"No module named '([\w.]+)'", text):
        return (
            f"the training environment lacks the package {missing[-1].split('.')[0]}: `docduet sft doctor` names all "
            "that is missing and how to install it"
        )
    for pattern, meaning in _KNOWN:
        if match := re.search(pattern, text, re.IGNORECASE):
            return meaning.format(*match.groups())
    return last_words(text)


def last_words(text: str) -> str:
    """The last line that looks like an error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b", line)]
    errors = [line for line in errors if "ChildFailedError" not in line] or errors
    return (errors or lines or ["it printed nothing"])[-1][:500]


def _memory(text: str, argv: Sequence[str], recipe: str) -> str:
    others = _OTHERS.findall(text)
    busy = f" (process {others[0][0]} of somebody else holds {others[0][1]} of it)" if others else ""
    return f"the GPU's memory is full{busy}; try, in this order: {'; '.join(next_tries(argv, recipe))}"


def next_tries(argv: Sequence[str], recipe: str) -> list[str]:
    """What lowers the memory, cheapest first, leaving out what is set already."""
    tries = []
    if int(option(argv, "micro_batch_size") or option(argv, "per_device_train_batch_size") or 1) > 1:
        name = "micro_batch_size" if option(argv, "micro_batch_size") else "per_device_train_batch_size"
        tries.append(f"--set {name}=1")
    if "megatron" in " ".join(argv[:4]) or option(argv, "tensor_model_parallel_size"):
        recompute = option(argv, "recompute_granularity", "selective")
        if recompute == "none":
            tries.append("--set recompute_granularity=selective")
        if recompute != "full":
            tries.append("--set recompute_granularity=full --set recompute_method=uniform --set recompute_num_layers=1")
        if not is_on(option(argv, "use_precision_aware_optimizer", "false")) and _full(argv):
            tries.append(
                "--set use_precision_aware_optimizer=true --set exp_avg_dtype=bf16 --set exp_avg_sq_dtype=bf16"
            )
    length = int(option(argv, "max_length") or 0)
    if length > 2048:
        tries.append(f"--set max_length={length // 2}")
    if _full(argv):
        tries.append("more GPUs (--recipe qwen3-8b-8gpu)" if recipe != "qwen3-8b-8gpu" else "GPUs with more memory")
        tries.append("training an adapter only (--recipe qwen3-8b-lora)")
    return [*tries, "`docduet sft plan` tells what fits before the start"]


def _full(argv: Sequence[str]) -> bool:
    return option(argv, "tuner_type", "full") == "full"
