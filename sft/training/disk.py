"""Is there room for the checkpoints? Asked before the start, and again while training runs.

Before: the size of one is estimated from the model's weights and what the trainer keeps of the optimiser. While it
runs: the last whole checkpoint's real size. Training is stopped while it can still be gone on with, right after a
checkpoint and not in the middle of writing the next one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import DiskFullError
from sft.training.checkpoints import Checkpoint, size
from sft.training.folder import is_on, option

GB = 1e9
MARGIN = 0.5 * GB
"""Left free for logs and everybody else (bytes); a hundredth of it is enough for models under 100 MB."""

_BYTES = {"float32": 4, "fp32": 4, "bfloat16": 2, "bf16": 2, "float16": 2, "fp16": 2, "fp8": 1, "uint8": 1}


def parameters(model: Path) -> float:
    """Of a model folder, from the size of its weights; 0 where it has none here."""
    return sum(file.stat().st_size for file in model.glob("*.safetensors")) / _BYTES.get(_dtype(model), 2)


def checkpoint_bytes(flag: Callable[[str, str], str], backend: str, parameters: float, trained: float) -> float:
    """Estimated bytes of one checkpoint: weights for serving, and what a resumed run needs.

    ``flag``: an option's value, or the default that it is given. ``trained``: all ``parameters``, or an adapter's. With
    the optimizer, Megatron writes 14 bytes a trained parameter beside the 2 for serving: its own copy of the weights,
    and master weight and both moments in float32. The precision-aware optimizer keeps only the 16 bits of the master
    weight that the bf16 weight lacks, and its moments as they are in memory (plugin/states_as_they_are.py).
    """
    if backend == "swift":
        element = _BYTES.get(flag("torch_dtype", "bfloat16"), 2)
        return trained * element * (1 if is_on(flag("save_only_model", "false")) else 3)
    merged = 2 * parameters if trained < parameters and is_on(flag("merge_lora", "true")) else 0
    if is_on(flag("no_save_optim", "false")):
        return trained * 2 + merged
    if not is_on(flag("use_precision_aware_optimizer", "false")):
        return trained * 16 + merged
    moments = sum(2 if flag(name, "fp32") == "bf16" else 4 for name in ("exp_avg_dtype", "exp_avg_sq_dtype"))
    return trained * (2 + 2 + 2 + moments) + merged


def _dtype(model: Path) -> str:
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        return str(config.get("dtype") or config.get("torch_dtype") or "bfloat16")
    except (OSError, ValueError, AttributeError):
        return "bfloat16"


def kept(argv: Sequence[str]) -> int:
    """How many checkpoints lie there at once: the trainer writes the new one before it removes the oldest."""
    limit = option(argv, "save_total_limit")
    return int(limit) + 1 if limit.isdigit() and int(limit) else 2


def check_before(out: Path, one: float, count: int, free: Callable[[Path], int] | None = None) -> None:
    """Raises DiskFullError when ``count`` checkpoints of ``one`` bytes will not fit below ``out``."""
    room = (free or free_bytes)(out)
    wanted = one * count + margin(one)
    if room < wanted:
        raise DiskFullError(
            f"{out} has {room / GB:.1f} GB free, {count} checkpoints of about {one / GB:.1f} GB need "
            f"{wanted / GB:.1f} GB: free some, train on another disk (--out), keep fewer (--set save_total_limit=2) or "
            "without the optimiser's state (--set no_save_optim=true; such a run cannot be resumed)"
        )


def free_bytes(path: Path) -> int:
    """Free for us on the disk that holds ``path`` (which need not exist yet)."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def margin(one: float) -> float:
    return MARGIN if one > 0.1 * GB else MARGIN / 100


@dataclass
class Guard:
    """Watches the disk. ``estimate``: bytes of a checkpoint, until a real one is there."""

    out: Path
    estimate: float
    free: Callable[[Path], int] = free_bytes
    _misses: int = 0

    def check(self, found: Sequence[Checkpoint]) -> str:
        """Why training should stop now; "" while there is room. Twice in a row, since a rotation takes a moment."""
        last = found[-1] if found else None
        one = float(size(last.path)) if last and last.whole else self.estimate
        writing = last is not None and not last.whole
        wanted = margin(one) if writing else one + margin(one)
        room = self.free(self.out)
        self._misses = self._misses + 1 if room < wanted else 0
        if self._misses < 2:
            return ""
        return f"the disk is nearly full: {room / GB:.2f} GB free, the next checkpoint needs {one / GB:.2f} GB"
