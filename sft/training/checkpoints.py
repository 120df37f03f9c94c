"""Which checkpoints of a run are whole, and from which can training go on?

A checkpoint may be half written: the trainer was killed, the disk was full. Whole means: every safetensors file has
the length its own header announces, the index names no file that is missing, and the files that the trainer writes
last are there. What is half written is never used, neither to go on nor to export.

Formats: ms-swift 4.6.0. Megatron (swift/megatron/trainers/base.py, save_checkpoint) writes args.json, iter_NNNNNNN/
(weights for Megatron, optimiser, `.metadata` last), latest_checkpointed_iteration.txt, then safetensors; `swift sft`
(transformers' Trainer) writes safetensors, optimizer.pt, scheduler.pt, and trainer_state.json last.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError

_NAME = re.compile(r"checkpoint-(\d+)")
_MAX_HEADER = 100 * 1024 * 1024  # safetensors' own limit


@dataclass(frozen=True)
class Checkpoint:
    """``problem``: why it is not whole, "" where it is. ``resumable``: whether the optimiser's state is in it.
    ``weights``: whether there are safetensors in it, as serving needs; Megatron's own format may lie there alone."""

    path: Path
    step: int
    problem: str
    resumable: bool
    adapter: bool
    weights: bool

    @property
    def whole(self) -> bool:
        return not self.problem


def checkpoints(folders: Iterable[Path]) -> list[Checkpoint]:
    """All checkpoints below ms-swift's folders, by step; of two with the same step the later folder's is last."""
    found = []
    for order, folder in enumerate(folders):
        for path in folder.glob("checkpoint-*"):
            if (match := _NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink():
                found.append((int(match[1]), order, path))
    return [inspect(path) for _, _, path in sorted(found)]


def inspect(path: Path) -> Checkpoint:
    """One checkpoint folder, looked at without reading any weights."""
    match = _NAME.fullmatch(path.name)
    return Checkpoint(
        path,
        int(match[1]) if match else 0,
        problem(path),
        _megatron_state(path) or (path / "optimizer.pt").is_file() or (path / "optimizer.bin").is_file(),
        (path / "adapter_config.json").is_file(),
        any(path.glob("*.safetensors")),
    )


def last_whole(found: Sequence[Checkpoint], up_to: int | None = None) -> Checkpoint | None:
    """The last whole checkpoint, none after step ``up_to``."""
    whole = [one for one in found if one.whole and (up_to is None or one.step <= up_to)]
    return whole[-1] if whole else None


def choose(found: Sequence[Checkpoint], step: int | None) -> Checkpoint:
    """The checkpoint of ``step``, the last whole one for None. Raises ConfigError saying which there are."""
    if step is None:
        chosen = last_whole(found)
        if chosen is None:
            half = f" ({found[-1].path.name}: {found[-1].problem})" if found else ""
            raise ConfigError(f"there is no whole checkpoint{half}: train first, or save more often (save_steps)")
        return chosen
    fitting = [one for one in found if one.step == step]
    if not fitting:
        steps = ", ".join(str(one.step) for one in found if one.whole) or "none"
        raise ConfigError(f"there is no checkpoint of step {step}; whole ones: {steps}")
    if not fitting[-1].whole:
        raise ConfigError(f"{fitting[-1].path} is half written ({fitting[-1].problem}): choose another checkpoint")
    return fitting[-1]


def size(path: Path) -> int:
    """Bytes below ``path``; files that vanish meanwhile count nothing."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.stat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total


def problem(path: Path) -> str:
    """Why the folder is not a whole checkpoint; "" where it is."""
    return _weights(path) or _written_last(path)


def _weights(path: Path) -> str:
    files = sorted(path.glob("*.safetensors"))
    if any("?" in file.name for file in files):
        return "its weights were still being written"
    for index in path.glob("*.safetensors.index.json"):
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return f"{index.name} cannot be read"
        if missing := sorted(name for name in named if not (path / name).is_file()):
            return f"{missing[0]} is missing"
    sharded = [file for file in files if re.search(r"-\d+-of-\d+\.safetensors$", file.name)]
    if sharded and not list(path.glob("*.safetensors.index.json")):
        return "the index of its weights is missing"
    if not files and not _megatron_state(path):
        return "there are no weights in it"
    return next((said for file in files if (said := truncated(file))), "")


def truncated(file: Path) -> str:
    """Why a safetensors file is not whole, "" where it is: 8 bytes of length, a JSON header, then the tensors."""
    try:
        with file.open("rb") as source:
            prefix = source.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else _MAX_HEADER + 1
            header = json.loads(source.read(length)) if length <= _MAX_HEADER else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if length <= _MAX_HEADER and file.stat().st_size == 8 + length + max(ends, default=0):
            return ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return f"{file.name} is cut short"


def _written_last(path: Path) -> str:
    """The trainer's own last word. A plain model folder (no trainer's files at all) has none and needs none."""
    iteration = next(path.glob("iter_*"), None)
    if iteration is not None:
        if not (path / "latest_checkpointed_iteration.txt").is_file():
            return "Megatron's files are incomplete"
        if list(iteration.glob("*.distcp")) and not (iteration / ".metadata").is_file():
            return "the optimiser's state is incomplete"
        return "" if list(path.glob("*.safetensors")) or _megatron_state(path) else "there are no weights in it"
    pieces = [name for name in ("optimizer.pt", "scheduler.pt", "training_args.bin") if (path / name).exists()]
    if pieces and not (path / "trainer_state.json").is_file():
        return "trainer_state.json is missing"
    return ""


def _megatron_state(path: Path) -> bool:
    """Megatron's own sharded state, whole, with the optimiser in it."""
    iteration = next(path.glob("iter_*"), None)
    if iteration is None or not (iteration / ".metadata").is_file():
        return False
    try:
        return not json.loads((path / "args.json").read_text(encoding="utf-8")).get("no_save_optim", False)
    except (OSError, ValueError, AttributeError):
        return False
