"""A training run as a command line: what ms-swift is called with, in which environment, and where.

Pure: nothing is started here and nothing of Megatron is imported. run.py starts a Launch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Launch:
    """One node's command of a training run.

    ``env``: only what is added to the environment. ``cwd``: the run's folder. ``backend``: "megatron" or "swift".
    ``world_size``: GPUs (or CPU processes) of all nodes. ``tokens_per_step``: where samples are packed, the tokens of
    one optimizer step; None where that depends on the samples. ``max_length``: tokens of a (packed) sequence.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    backend: str
    world_size: int
    tokens_per_step: int | None
    max_length: int
    global_batch_size: int
