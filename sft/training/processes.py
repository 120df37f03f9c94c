"""Ending a trainer with all that it started.

torchrun makes every worker a session of its own, out of reach of a signal to the trainer's group; a worker that is left
behind keeps its GPU. So the processes are found by what they inherit: the variables of the launch that name the run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MARKS = ("DOCDUET_STOP_FILE", "NODE_RANK")
"""A run's folder, and the node where several are tried on one machine."""


def members(env: Mapping[str, str]) -> list[int]:
    """Ids of the living processes here that were started with ``env``'s marks; [] where it has none."""
    wanted = {f"{name}={env[name]}".encode() for name in MARKS if name in env}
    if not wanted:
        return []
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            given = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # another user's, or gone
            continue
        if wanted.issubset(given) and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def end(process: subprocess.Popen[bytes], env: Mapping[str, str], polite_s: float) -> None:
    """End ``process``, the leader of its group, which was started with ``env``, and all that came of it.

    SIGTERM to the group if it lives, which torchrun passes on; after ``polite_s``, or at once where the leader has
    ended by itself, SIGKILL to whatever is left.
    """
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + polite_s
        while (process.poll() is None or members(env)) and time.monotonic() < deadline:
            time.sleep(0.05)
    _signal_group(process.pid, signal.SIGKILL)
    for pid in members(env):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
