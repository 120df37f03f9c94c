"""Train: start what launch.py describes, watch it, and leave a run folder that can be gone on with and exported.

Run by `docduet sft train`. Before the start: the folder's lock, run.json, room on the disk, where to go on. While it
runs (watch.py): progress, early stop, disk, signals. Afterwards: what happened, in words, and what to do next.
Recipes, plans and the command line itself are made before (launch.py); ms-swift trains.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from data.errors import ConfigError
from sft.tokens import load_counter
from sft.training import disk
from sft.training.checkpoints import checkpoints, last_whole, size
from sft.training.dataset import Lengths, measure, open_dataset
from sft.training.explain import explain, tail
from sft.training.flops import flops_per_token, peak_tflops
from sft.training.folder import (
    RunInfo,
    Start,
    locked,
    option,
    output_dir,
    read_info,
    sha256,
    trainers_folder,
    trains_adapter,
    versions,
    write_info,
)
from sft.training.gpus import find_gpus
from sft.training.health import Health
from sft.training.launch import Launch
from sft.training.memory import lora_parameters
from sft.training.model import load_shape
from sft.training.progress import Progress, make_progress
from sft.training.records import Reader, rates
from sft.training.resume import Beginning, begin
from sft.training.watch import Ending, Patience, Watch

_PACKAGES = (
    "docduet",
    "ms-swift",
    "megatron-core",
    "mcore-bridge",
    "transformer-engine",
    "torch",
    "transformers",
    "peft",
)


class Outcome(IntEnum):
    """How a start ended, and the exit code that says so (a stop by a signal: 128 + the signal's number)."""

    FINISHED = 0
    FAILED = 1
    DIVERGED = 3
    DISK = 4


def run(
    launch: Launch,
    folder: Path,
    *,
    dataset: Path,
    recipe: str,
    resume: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> int:
    """Train in ``folder`` and give the exit code (Outcome). ``launch``: with its hooks, as launch() makes it.

    Raises ConfigError, BusyError, DiskFullError before the start; afterwards all is said on stderr and in run.json.
    """
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    shown, patience = progress or make_progress(), patience or Patience()
    digest = sha256(dataset)
    if _node(launch) > 0:
        there = begin(launch, folder, read_info(folder), digest, resume)
        return 0 if there.finished else _follow(there.launch, folder, patience, shown)
    with locked(folder) as lock:
        old = read_info(folder)
        beginning = begin(launch, folder, old, digest, resume)
        if beginning.finished:
            shown.note(f"this run has finished: `docduet sft export {folder}`")
            return int(Outcome.FINISHED)
        info = describe(launch, folder, dataset, digest, recipe)
        if resume and old is not None:
            info = replace(info, starts=old.starts)
        estimate = _room(beginning, info)
        for note in beginning.notes:
            shown.note(f"note: {note}")
        info = info.with_start(
            Start(beginning.launch.argv, dict(launch.env), time.time(), beginning.step, pid=os.getpid())
        )
        write_info(folder, info)
        ending = _watch(beginning, folder, info, estimate, lock, shown, patience)
        return _end(folder, ending, shown)


def _node(launch: Launch) -> int:
    return int(launch.env.get("NODE_RANK") or 0)


def describe(launch: Launch, folder: Path, dataset: Path, digest: str, recipe: str) -> RunInfo:
    """run.json of this run, without a start yet."""
    given = option(launch.argv, "model")
    model = Path(given).expanduser()
    model = model if model.is_absolute() else launch.cwd / model
    counter = load_counter(model if (model / "tokenizer.json").is_file() else None)
    lengths = measure(open_dataset(dataset), counter, launch.max_length)
    adapter = trains_adapter(launch.argv, launch.backend)
    gpu = next((found.name for found in find_gpus()), "")
    mean = lengths.total / lengths.kept if lengths.kept else 0.0
    return RunInfo(
        recipe=recipe,
        backend=launch.backend,
        dataset=str(dataset.expanduser().absolute()),
        dataset_sha256=digest,
        model=str(model) if model.exists() else given,
        output_dir=str(output_dir(launch.argv, folder, launch.cwd)),
        world_size=launch.world_size,
        samples_per_step=launch.global_batch_size,
        max_length=launch.max_length,
        samples=lengths.kept,
        tokens=lengths.total,
        epochs=_epochs(launch),
        tokens_per_step=launch.tokens_per_step or round(mean * launch.global_batch_size),
        flops_per_token=_flops(model, lengths, adapter),
        peak_tflops=peak_tflops(gpu) * launch.world_size,
        gpu=gpu,
        versions=_versions(),
    )


def _flops(model: Path, lengths: Lengths, adapter: bool) -> float:
    """Per token; 0 for a model whose shape is not known: it trains all the same, without an MFU."""
    try:
        shape = load_shape(model)
    except ConfigError:
        return 0.0
    squares = sum(size * size for size in lengths.tokens if size <= lengths.limit)
    return flops_per_token(shape, squares / max(lengths.total, 1), adapter)


def _epochs(launch: Launch) -> float:
    """Over the training set; 0 where the number of steps is given instead."""
    if launch.backend == "megatron":
        return float(option(launch.argv, "num_train_epochs") or 0)
    if int(option(launch.argv, "max_steps") or -1) > 0:
        return 0.0
    return float(option(launch.argv, "num_train_epochs") or 3)  # transformers' default


def _versions() -> dict[str, str]:
    """Of the packages that are installed here; the training environment's own may be another (train.log has them)."""
    found: dict[str, str] = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _room(beginning: Beginning, info: RunInfo) -> float:
    """Bytes of one checkpoint. Raises DiskFullError when there is no room for those that will lie there."""
    out = Path(info.output_dir)
    argv, count = beginning.launch.argv, disk.kept(beginning.launch.argv)
    if beginning.checkpoint is not None:
        one, count = float(size(beginning.checkpoint.path)), 1
    else:
        one = _checkpoint_bytes(argv, info.backend, Path(info.model))
    disk.check_before(out, one, count)
    return one


def _checkpoint_bytes(argv: Sequence[str], backend: str, model: Path) -> float:
    """Estimated, from the weights on disk; 0 for a model that is not here."""
    trained = parameters = disk.parameters(model)
    if trains_adapter(argv, backend):
        try:
            trained = lora_parameters(int(option(argv, "lora_rank", "8")), load_shape(model))
        except ConfigError:
            trained = 0.01 * parameters
    return disk.checkpoint_bytes(partial(option, argv), backend, parameters, trained)


def _watch(
    beginning: Beginning,
    folder: Path,
    info: RunInfo,
    estimate: float,
    lock: int,
    shown: Progress,
    patience: Patience,
) -> Ending:
    out = Path(info.output_dir)

    def seen(version_folder: Path) -> None:
        write_info(folder, info.with_last(version=version_folder.name))

    watch = Watch(
        info.starts[-1].argv,
        {**os.environ, **beginning.launch.env},
        beginning.launch.cwd,
        out,
        folder / "train.log",
        folder / "stop",
        Reader(beginning.step, rates(info)),
        Health(last_good=beginning.step),
        disk.Guard(out, estimate),
        shown,
        patience,
        seen,
    )
    beginning.launch.cwd.mkdir(parents=True, exist_ok=True)
    with shown:
        try:
            return watch.run(lock)
        except OSError as error:
            raise ConfigError(f"{watch.argv[0]} could not be started ({error}): see `docduet sft doctor`") from None


def _end(folder: Path, ending: Ending, shown: Progress) -> int:
    """Write down how it ended, say it, and give the exit code."""
    info = read_info(folder)
    assert info
    outcome, code = _outcome(ending)
    text = tail(folder / "train.log").rpartition("\n--- ")[2]
    argv = info.starts[-1].argv
    said = ending.said if outcome != "failed" else explain(text, argv, info.recipe)
    found = checkpoints(versions(trainers_folder(info, folder)))
    good = last_whole(found, ending.last_good if outcome == "diverged" else None)
    write_info(
        folder,
        info.with_last(
            ended=time.time(),
            outcome=outcome,
            reason=said,
            last_good=ending.last_good if outcome == "diverged" else 0,
        ),
    )
    for line in _report(folder, outcome, said, ending, good.path if good else None, good.step if good else 0):
        shown.note(line)
    return code


def _outcome(ending: Ending) -> tuple[str, int]:
    if ending.reason == "diverged":
        return "diverged", int(Outcome.DIVERGED)
    if ending.reason == "disk":
        return "disk", int(Outcome.DISK)
    done = ending.code == 0 and 0 < ending.total <= ending.step
    if ending.reason == "stopped" and not done:
        return "stopped", 128 + ending.signal
    return ("finished", int(Outcome.FINISHED)) if ending.code == 0 else ("failed", int(Outcome.FAILED))


def _report(folder: Path, outcome: str, said: str, ending: Ending, good: Path | None, step: int) -> list[str]:
    """What is said at the end."""
    kept = f"the last good checkpoint is {good}" if good else "there is no whole checkpoint yet"
    if outcome == "finished":
        return [f"finished: {good or 'no checkpoint was written'}", f"next: `docduet sft export {folder}`"]
    lost = ending.step - step
    lines = [f"{outcome}: {said}", kept + (f"; {lost} steps after it are lost" if lost > 0 else "")]
    if outcome == "failed":
        lines.append(f"everything the trainer said: {folder / 'train.log'} (exit code {ending.code})")
    if outcome == "diverged":
        lines.append("lower the learning rate or look at the data before going on with --resume from that checkpoint")
    else:
        lines.append("--resume goes on from there" if good else "start again with --resume")
    return lines


def _follow(launch: Launch, folder: Path, patience: Patience, shown: Progress) -> int:
    """On a node other than the first: the trainer alone; the first node watches, records and decides."""
    node = _node(launch)
    log = folder / f"train-node{node}.log"
    place = folder / f"node{node}"
    place.mkdir(exist_ok=True)
    watch = Watch(
        launch.argv,
        {**os.environ, **launch.env},
        launch.cwd,
        place / "nothing-is-logged-here",
        log,
        folder / "stop",
        Reader(),
        Health(),
        disk.Guard(place, 0.0),
        shown,
        patience,
        first_node=False,
    )
    shown.note(f"node {node}: training; the first node shows how it goes, this one logs to {log}")
    with locked(place) as lock:
        ending = watch.run(lock)
    outcome, code = _outcome(ending)
    if outcome == "failed":
        shown.note(f"failed: {explain(tail(log), launch.argv, '')} (see {log})")
    return code
