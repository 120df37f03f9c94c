"""Going on with a run: from which checkpoint, with which of ms-swift's options, and when not.

ms-swift 4.6.0: `swift sft` takes --resume_from_checkpoint and skips the batches it has seen. `megatron sft` takes its
own sharded checkpoint with --mcore_model (an adapter's with --mcore_adapter) and --finetune false, which brings back
optimiser, schedule, random state and the number of samples seen (swift/megatron/utils/megatron_lm_utils.py,
load_mcore_checkpoint). Both go on to the same loss curve. A checkpoint without the optimiser's state cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.errors import ConfigError
from sft.training.checkpoints import Checkpoint, checkpoints, last_whole
from sft.training.folder import RunInfo, trainers_folder, trains_adapter, versions
from sft.training.launch import Launch

_MOVING = ("output_dir", "resume_from_checkpoint", "mcore_model", "mcore_adapter", "finetune")
_OWN = ("add_version", "external_plugins", "callbacks", "no_load_optim", "no_load_rng")


@dataclass(frozen=True)
class Beginning:
    """``checkpoint``: None for the start. ``notes``: what the user should know about it."""

    launch: Launch
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    finished: bool = False

    @property
    def step(self) -> int:
        return self.checkpoint.step if self.checkpoint else 0


def begin(launch: Launch, folder: Path, info: RunInfo | None, dataset_sha256: str, resume: bool) -> Beginning:
    """How to start in ``folder``, which ``info`` says has been started before. Raises ConfigError."""
    if info is None:
        if resume:
            raise ConfigError(f"{folder} holds no run to go on with: leave out --resume")
        return Beginning(launch)
    found = checkpoints(versions(trainers_folder(info, folder)))
    if not resume:
        if found or any(start.outcome in ("finished", "diverged") for start in info.starts):
            raise ConfigError(f"{folder} holds a run already: go on with --resume, or give another --out")
        return Beginning(launch)
    return _go_on(launch, folder, info, dataset_sha256, found)


def _go_on(launch: Launch, folder: Path, info: RunInfo, digest: str, found: Sequence[Checkpoint]) -> Beginning:
    if digest != info.dataset_sha256:
        raise ConfigError(
            f"the dataset is not the one that {folder} was started with ({info.dataset}): the loss curve would break. "
            "Give the old one, or train into a new folder"
        )
    last = next((start for start in reversed(info.starts) if start.outcome), None)  # another node's may just begin
    changed = changed_options(info.starts[0].argv, launch.argv) if info.starts else []
    if last and last.outcome == "finished" and not changed:
        return Beginning(launch, last_whole(found), finished=True)
    up_to = last.last_good if last and last.outcome == "diverged" else None
    chosen = last_whole([one for one in found if one.resumable], up_to)
    notes = [f"{one.path.name} is half written ({one.problem}) and left alone" for one in found if not one.whole]
    if changed:
        notes.append(f"options differ from the first start's, so will the curve: {', '.join(changed)}")
    if chosen is None:
        if weights := last_whole(found, up_to):
            raise ConfigError(
                f"{folder} keeps no optimiser state (no_save_optim, save_only_model): it cannot go on to the same "
                f"curve. Start a new run from its weights: --model {weights.path}"
            )
        return Beginning(launch, None, (*notes, "there is no whole checkpoint yet: starting from the beginning"))
    return Beginning(replace(launch, argv=resumed(launch.argv, launch.backend, chosen)), chosen, tuple(notes))


def resumed(argv: Sequence[str], backend: str, checkpoint: Checkpoint) -> tuple[str, ...]:
    """The command that goes on from ``checkpoint``; of an option given twice the last one counts."""
    path = str(checkpoint.path)
    if backend == "swift":
        return (*argv, "--resume_from_checkpoint", path)
    load = "--mcore_adapter" if trains_adapter(argv, backend) else "--mcore_model"
    return (*argv, load, path, "--finetune", "false", "--no_load_optim", "false", "--no_load_rng", "false")


def changed_options(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Names of the options whose values differ; those that say where things lie are left out."""
    old, new = _options(before), _options(now)
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _options(argv: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    name = ""
    for word in argv:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found[name] = (value,) if value else ()
        elif name:
            found[name] = (*found[name], word)
    return {name: value for name, value in found.items() if name not in (*_MOVING, *_OWN)}
