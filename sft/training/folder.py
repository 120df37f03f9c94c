"""A run's folder: what lies where in it, run.json, and the lock that says somebody trains in it.

RUN/run.json        what was started, with what, how often, and how each start ended
RUN/train.log       everything the trainer printed
RUN/stop            there while the trainer is asked to save and stop (plugin/stop_on_request.py reads it)
RUN/lock            held by the watcher and by the trainer as long as either lives
OUT/vN-TIME/        ms-swift's own: logging.jsonl, checkpoint-N, runs/ (TensorBoard), images/; one for each start

OUT is the trainer's --output_dir: RUN itself, or a folder in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data.errors import BusyError, ConfigError

_VERSION = re.compile(r"v(\d+)(?:-.*)?")


@dataclass(frozen=True)
class Start:
    """One start of the trainer. ``from_step``: 0, or the checkpoint's that it went on from.

    ``last_good``: the last logged step before the loss ran away, 0 where it did not.
    ``version``: the name of ms-swift's folder for it, "" until there is one.
    ``started``, ``ended``: seconds since the epoch, ``ended`` 0 while it runs or when the watcher was killed.
    ``outcome``: one of run.Outcome's values, "" likewise. ``reason``: a sentence for a person.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    started: float
    from_step: int = 0
    ended: float = 0.0
    outcome: str = ""
    reason: str = ""
    pid: int = 0
    version: str = ""
    last_good: int = 0


@dataclass(frozen=True)
class RunInfo:
    """run.json: what has to be known later about how the checkpoints came to be.

    ``dataset``: path, ``dataset_sha256`` of its content. ``samples``, ``tokens``: of one epoch, without padding and
    without what is over ``max_length``. ``epochs``: 0 where the steps are given. ``tokens_per_step``: for that case.
    ``flops_per_token``: floating-point operations that a token costs in training. ``peak_tflops``: what all GPUs
    together could do. 0 for what is not known.
    """

    recipe: str
    backend: str
    dataset: str
    dataset_sha256: str
    model: str
    output_dir: str
    world_size: int
    samples_per_step: int
    max_length: int
    samples: int
    tokens: int
    epochs: float
    tokens_per_step: int
    flops_per_token: float
    peak_tflops: float
    gpu: str
    versions: Mapping[str, str]
    starts: tuple[Start, ...] = ()

    def with_start(self, start: Start) -> RunInfo:
        return replace(self, starts=(*self.starts, start))

    def with_last(self, **changes: Any) -> RunInfo:
        """The last start, changed."""
        return replace(self, starts=(*self.starts[:-1], replace(self.starts[-1], **changes)))


def read_info(folder: Path) -> RunInfo | None:
    """run.json, None where there is none. Raises ConfigError when it is damaged."""
    path = folder / "run.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        starts = tuple(Start(**{**start, "argv": tuple(start["argv"])}) for start in raw.pop("starts"))
        return RunInfo(**raw, starts=starts)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is damaged ({error}): restore it, or train into a new folder") from None


def write_info(folder: Path, info: RunInfo) -> None:
    """Replace run.json at once: a crash leaves the old one or the new one."""
    write_json(folder / "run.json", asdict(info))


def write_json(path: Path, value: Any) -> None:
    """Write and flush beside ``path``, then rename over it."""
    part = path.with_name(f".{path.name}.partial")
    with part.open("w", encoding="utf-8") as sink:
        json.dump(value, sink, ensure_ascii=False, indent=2)
        sink.flush()
        os.fsync(sink.fileno())
    part.replace(path)


def output_dir(argv: Sequence[str], folder: Path, cwd: Path) -> Path:
    """Where the trainer writes: its --output_dir, relative to its working directory."""
    given = option(argv, "output_dir")
    return (cwd / given).absolute() if given else folder.absolute()


def trainers_folder(info: RunInfo, folder: Path) -> Path:
    """Where the trainer's own folders are; below the run's folder where that was moved."""
    out = Path(info.output_dir)
    return out if out.is_dir() else folder


def option(argv: Sequence[str], name: str, default: str = "") -> str:
    """The value after ``--name`` (or in ``--name=value``); the last one wins, as argparse has it."""
    found = default
    for here, following in zip(argv, [*argv[1:], ""], strict=True):
        if here == f"--{name}":
            found = following
        elif here.startswith(f"--{name}="):
            found = here.partition("=")[2]
    return found


DEFAULT_TUNER = {"megatron": "full", "swift": "lora"}
"""What ms-swift 4.6.0 trains without --tuner_type."""


def trains_adapter(argv: Sequence[str], backend: str) -> bool:
    """Whether the command trains a LoRA adapter, not all parameters."""
    return option(argv, "tuner_type", DEFAULT_TUNER[backend]) != "full"


def is_on(value: str) -> bool:
    """How ms-swift reads a truth value."""
    return value.lower() in ("true", "1", "yes", "y", "t")


def versions(out: Path) -> list[Path]:
    """ms-swift's folders below its output folder, oldest first; the folder itself where it logs there directly."""
    numbered = [
        (int(match[1]), path)
        for path in (out.iterdir() if out.is_dir() else ())
        if path.is_dir() and (match := _VERSION.fullmatch(path.name))
    ]
    direct = [out] if (out / "logging.jsonl").exists() or any(out.glob("checkpoint-*")) else []
    return [*direct, *(path for _, path in sorted(numbered))]


def sha256(path: Path) -> str:
    """The hash of a file, or of a folder's train.jsonl and val.jsonl."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else [path / name for name in ("train.jsonl", "val.jsonl")]
    for file in files:
        if file.is_file():
            with file.open("rb") as source:
                digest.update(hashlib.file_digest(source, "sha256").digest())
    return digest.hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the folder's lock; gives its file descriptor, to be inherited by the trainer. Raises BusyError."""
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            info = read_info(folder)
            pid = info.starts[-1].pid if info and info.starts else 0
            how = f"; `touch {folder / 'stop'}` asks it to save and stop" + (f" (process {pid})" if pid else "")
            raise BusyError(f"a training run is going on in {folder}{how}") from None
        yield file.fileno()
