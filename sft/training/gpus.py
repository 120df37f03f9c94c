"""The GPUs that a program sees here, and who else is on them, as nvidia-smi has it. No GPU, no driver: none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_GPU = "index,uuid,name,memory.total,memory.used,driver_version"
_APPS = "gpu_uuid,pid,process_name,used_memory"
IDLE_GIB = 1.0
"""So much may be in use on a GPU that nobody works on: the driver's own, a display."""


@dataclass(frozen=True)
class Process:
    """A process on a GPU; ``gib``: of its memory. ``name``: the program, without its folder."""

    pid: int
    name: str
    gib: float


@dataclass(frozen=True)
class Gpu:
    """``total`` and ``used`` in GiB, as the driver counts (a "141 GB" H200 has 139.8)."""

    index: int
    name: str
    total: float
    used: float
    driver: str
    processes: tuple[Process, ...] = ()

    @property
    def busy(self) -> bool:
        return self.used > IDLE_GIB

    def who(self) -> str:
        """Who holds how much: what a busy GPU is said to be busy with."""
        named = ", ".join(f"process {one.pid} ({one.name}) {one.gib:.1f} GiB" for one in self.processes)
        return f"GPU {self.index}: {self.used:.1f} of {self.total:.1f} GiB in use" + (f" by {named}" if named else "")


def find_gpus() -> list[Gpu]:
    """Those of this machine that CUDA_VISIBLE_DEVICES lets be seen; [] without nvidia-smi or when it fails."""
    rows = _query("gpu", _GPU)
    holders: dict[str, list[Process]] = {}
    for uuid, pid, name, used in _query("compute-apps", _APPS) if rows else ():
        holders.setdefault(uuid, []).append(Process(int(pid), Path(name).name, _gib(used)))
    found = {
        uuid: Gpu(int(index), name, _gib(total), _gib(used), driver, tuple(holders.get(uuid, ())))
        for index, uuid, name, total, used, driver in rows
    }
    return _visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _visible(found: Mapping[str, Gpu], chosen: str | None) -> list[Gpu]:
    """By index or by (the beginning of) an id; as CUDA does, nothing after one that is not there. Names of parts of a
    GPU (MIG-...) are not known to nvidia-smi's list: then all are given."""
    if chosen is None or "MIG" in chosen:
        return list(found.values())
    visible: list[Gpu] = []
    for word in chosen.split(","):
        fits = [
            gpu
            for uuid, gpu in found.items()
            if word.strip() == str(gpu.index) or (word.strip().startswith("GPU-") and uuid.startswith(word.strip()))
        ]
        if not fits:
            break
        visible += fits
    return visible


def _query(what: str, fields: str) -> list[list[str]]:
    smi = shutil.which("nvidia-smi")
    if not smi:
        return []
    try:
        done = subprocess.run(
            [smi, f"--query-{what}={fields}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return [row for row in rows if len(row) == len(fields.split(","))] if done.returncode == 0 else []


def _gib(mib: str) -> float:
    try:
        return float(mib) / 1024
    except ValueError:  # "[N/A]" inside a container
        return 0.0
