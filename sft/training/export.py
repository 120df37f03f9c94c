"""A run's checkpoint as a folder that can be served: weights, tokenizer, manifest.json; all of it or nothing.

Full models and adapters are taken as they lie in the run (large files as hard links where the disk allows: an export
costs no second copy); an adapter is merged where asked. Half-written checkpoints are refused. `--serve` then names the
folder in DOCDUET_HOME/runs/current-sft.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.checkpoints import MANIFEST, Manifest, write_manifest
from data.errors import CheckpointError, ConfigError, DiskFullError
from sft.training import convert
from sft.training.checkpoints import Checkpoint, checkpoints, choose, problem
from sft.training.folder import RunInfo, trainers_folder, versions
from sft.training.manifest import make_manifest
from sft.training.records import Run, read_run

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
SMALL = ("config.json", "generation_config.json", "adapter_config.json")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class Exported:
    """``notes``: what a person should know. ``differences``: of the precision tests, by direction."""

    folder: Path
    manifest: Manifest
    notes: tuple[str, ...] = ()
    differences: tuple[tuple[str, float | None], ...] = ()


def export(
    run_folder: Path,
    out: Path | None = None,
    *,
    step: int | None = None,
    merge: bool = False,
    from_mcore: bool = False,
    with_mcore: bool = False,
) -> Exported:
    """Export a run's checkpoint (the last whole one for ``step`` None) to ``out``, default RUN/export/checkpoint-N.

    ``from_mcore``: take the weights from Megatron's own checkpoint, converted and tested. ``with_mcore``: also convert
    what was exported to Megatron's format, in a folder beside it. Raises ConfigError, CheckpointError, DiskFullError.
    """
    run = read_run(run_folder)
    if run.info is None:
        raise CheckpointError(f"{run_folder} has no run.json: only runs of `docduet sft train` can be exported")
    found = checkpoints(versions(trainers_folder(run.info, run.folder)))
    chosen = choose([one for one in found if one.weights or from_mcore], step)
    if merge and not (chosen.adapter or from_mcore):
        raise ConfigError(f"{chosen.path} is a full model: there is nothing to merge, leave out --merge")
    target = (out or run.folder / "export" / f"{chosen.path.name}{'-merged' if merge else ''}").expanduser().absolute()
    differences: list[tuple[str, float | None]] = []
    with _replacing(target) as folder:
        if from_mcore:
            differences.append(("to_hf", _from_mcore(run.info, chosen, folder)))
        elif merge:
            _merge(run.info, chosen, folder)
        else:
            _take(chosen.path, folder, (*WEIGHTS, *SMALL))
        _tokenizer(chosen.path, Path(run.info.model), folder)
        manifest, notes = _seal(folder, run, chosen.step)
    if with_mcore:
        differences.append(("to_mcore", _to_mcore(run.info, target)))
    return Exported(target, manifest, tuple(notes), tuple(differences))


def _seal(folder: Path, run: Run, step: int) -> tuple[Manifest, list[str]]:
    """Check what was written, and write the manifest last."""
    if said := problem(folder):
        raise CheckpointError(f"the export is not whole ({said}): is the disk full?")
    kind = "adapter" if (folder / "adapter_config.json").is_file() else "full"
    files = [path.name for path in folder.iterdir() if path.is_file()]
    manifest, notes = make_manifest(folder, run, step, kind, files)
    write_manifest(folder, manifest)
    return manifest, notes


def _take(source: Path, folder: Path, patterns: tuple[str, ...]) -> None:
    """Weights as hard links where that works, the rest as copies."""
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        target = folder / path.name
        if target.exists():
            continue
        if path.suffix == ".safetensors":
            try:
                os.link(path.resolve(), target)
                continue
            except OSError:
                pass  # another disk, or one that knows no links
        shutil.copy2(path, target)


def _tokenizer(checkpoint: Path, base: Path, folder: Path) -> None:
    """The checkpoint's own; the base model's where it has none."""
    _take(checkpoint, folder, TOKENIZER)
    if not (folder / "tokenizer_config.json").is_file() and base.is_dir():
        _take(base, folder, TOKENIZER)


def _merge(info: RunInfo, chosen: Checkpoint, folder: Path) -> None:
    """The adapter added to its base's weights: ms-swift's own merged folder, peft, or ms-swift, what there is."""
    own = chosen.path.with_name(f"{chosen.path.name}-merged")
    if own.is_dir() and not problem(own):
        _take(own, folder, (*WEIGHTS, *SMALL))
        return
    if not Path(info.model).is_dir():
        raise ConfigError(f"the base model {info.model} is not here: it is needed to merge the adapter into it")
    try:
        import peft
    except ImportError:
        _convert(folder, lambda part: convert.merge(info.starts[-1].argv, chosen.path, info.model, part), info)
        return
    from transformers import AutoModelForCausalLM

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(info.model, dtype="auto")
        model = peft.PeftModel.from_pretrained(model, str(chosen.path)).merge_and_unload()
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{chosen.path} does not fit its base model {info.model}: {error}") from None
    model.save_pretrained(folder)


def _from_mcore(info: RunInfo, chosen: Checkpoint, folder: Path) -> float | None:
    if not any(chosen.path.glob("iter_*/.metadata")):
        raise ConfigError(f"{chosen.path} holds no Megatron weights (no_save_optim keeps none): leave out --to-hf")
    return _convert(folder, lambda part: convert.to_hf(info.starts[-1].argv, chosen.path, info.model, part), info)


def _to_mcore(info: RunInfo, exported: Path) -> float | None:
    out = exported.with_name(f"{exported.name}-mcore")
    if out.exists():
        raise ConfigError(f"{out} exists already: remove it, or export elsewhere (--out)")
    argv = convert.to_mcore(info.starts[-1].argv, exported, out)
    return convert.convert(argv, info.starts[-1].env, exported.parent / f"{out.name}.log")


def _convert(folder: Path, argv: Any, info: RunInfo) -> float | None:
    """Let ms-swift write into a new folder (it insists on one), and take its files."""
    part = folder / "converted"
    difference = convert.convert(
        argv(part), info.starts[-1].env, folder.parent / f"{folder.name.strip('.').removesuffix('.partial')}.log"
    )
    _take(part, folder, (*WEIGHTS, *SMALL, *TOKENIZER))
    shutil.rmtree(part)
    return difference


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place when all went well. Only an earlier export is ever replaced."""
    if out.exists() and not (out / MANIFEST).is_file():
        raise ConfigError(f"{out} exists and is no exported checkpoint: give another --out")
    part = out.with_name(f".{out.name}.partial")
    old = out.with_name(f".{out.name}.old")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        part.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"no room left for {out}: free some, or give --out on another disk") from None
        raise CheckpointError(f"{out} cannot be written ({error}): check the folder's rights, or give --out") from None
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
