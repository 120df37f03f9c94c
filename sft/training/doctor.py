"""Can this machine train? Everything that a run needs, looked at before it needs it, each lack with its remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from data.errors import ConfigError
from sft.training import flags, probe, swift_source
from sft.training.gpus import Gpu, find_gpus
from sft.training.recipe import Recipe

State = Literal["ok", "warning", "missing"]
INSTALL = "in DocDuet's folder: pip install -c constraints/train.txt -e '.[train]'"
OPTIONAL = {
    "flash-attn": "only for --set attention_backend=flash; recipes use cuDNN's (fused)",
    "apex": "not needed: the recipes' plugin fused_gradients does what it is for",
}
NETWORK_DISKS = ("nfs", "nfs4", "lustre", "gpfs", "cephfs", "ceph", "beegfs", "fuse", "glusterfs", "9p", "cifs", "smb3")


@dataclass(frozen=True)
class Check:
    """``found``: what there is. ``fix``: what to do; "" when nothing is to be done."""

    name: str
    state: State
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def examine(recipe: Recipe | None, python: str, folder: Path) -> list[Check]:
    """All checks; those that a ``recipe`` does not need are left out. ``folder``: where runs will lie."""
    gpu = recipe is None or recipe.machine.gpus > 0
    megatron = recipe is None or recipe.backend == "megatron"
    checks = [*(_gpus(recipe, find_gpus()) if gpu else ())]
    checks += _packages(python, gpu, megatron)
    checks += _disk(recipe, folder)
    if recipe is None or recipe.machine.nodes > 1:
        checks.append(_shared_cache())
    return checks


def _gpus(recipe: Recipe | None, gpus: list[Gpu]) -> Iterator[Check]:
    if not gpus:
        fix = "install NVIDIA's driver, or use a machine that has a GPU; without one: --recipe tiny-cpu"
        yield Check("driver", "missing", "nvidia-smi finds no GPU", fix)
        return
    yield Check("driver", "ok", gpus[0].driver)
    wanted = recipe.machine if recipe else None
    names = ", ".join(f"{gpu.name} {gpu.total:.1f} GiB" for gpu in gpus)
    if wanted and len(gpus) < wanted.gpus:
        yield Check(
            "GPUs", "missing", names, f"recipe {recipe.name if recipe else ''} needs {wanted.gpus}: --gpus, or another"
        )
    elif wanted and min(gpu.total for gpu in gpus[: wanted.gpus]) < wanted.memory * 0.97:
        yield Check(
            "GPUs", "warning", names, f"the recipe is made for {wanted.memory:g} GiB each: see docduet sft plan"
        )
    else:
        yield Check("GPUs", "ok", names)
    for gpu in gpus:
        if gpu.busy:
            fix = "stop it, or choose another GPU by CUDA_VISIBLE_DEVICES"
            yield Check(f"GPU {gpu.index} idle", "warning", gpu.who(), fix)


def _packages(python: str, gpu: bool, megatron: bool) -> Iterator[Check]:
    answer = probe.versions(python)
    if answer.value is None:
        yield Check(
            "python",
            "missing",
            f"{python}: {answer.error}",
            "give --python the interpreter that ms-swift is installed for",
        )
        return
    yield Check("python", "ok", f"{answer.value['python']} ({python})")
    found = answer.value["packages"]
    assert isinstance(found, dict)
    yield from _torch(python, found["torch"], gpu)
    if megatron:
        yield from _transformer_engine(python, found)
        for name in ("megatron-core", "mcore-bridge"):
            yield _installed(name, found[name])
    yield _installed("ms-swift", found["ms-swift"])
    if answer.value["swift"]:
        yield options_check(Path(str(answer.value["swift"])).parent)
    for name, why in OPTIONAL.items() if megatron else ():
        yield Check(
            f"{name} (optional)", "ok", f"{found[name] or 'not installed'}: {why}" if not found[name] else found[name]
        )


def _installed(name: str, version: str | None) -> Check:
    return Check(name, "ok", version) if version else Check(name, "missing", "not installed", INSTALL)


def _torch(python: str, version: str | None, gpu: bool) -> Iterator[Check]:
    if not version:
        yield _installed("torch", version)
        return
    answer = probe.torch(python)
    if answer.value is None:
        yield Check("torch", "missing", f"{version} does not import: {answer.error}", INSTALL)
        return
    yield Check("torch", "ok", version)
    if not gpu:
        return
    value = answer.value
    if not value["cuda"]:
        yield Check("CUDA", "missing", "this torch is built for the CPU", INSTALL)
    elif not value["available"]:
        yield Check(
            "CUDA",
            "missing",
            f"{value['cuda']}, but torch sees no GPU",
            "the driver is older than torch's CUDA: update it",
        )
    else:
        yield Check("CUDA", "ok", f"{value['cuda']}, {value['devices']} GPUs")
    for name, what in (("cudnn", "fused attention"), ("nccl", "several GPUs")):
        label = {"cudnn": "cuDNN", "nccl": "NCCL"}[name]
        if value[name]:
            yield Check(label, "ok", str(value[name]))
        else:
            yield Check(label, "missing", f"torch has none ({what} need it)", INSTALL)


def _transformer_engine(python: str, found: dict[str, str | None]) -> Iterator[Check]:
    for name in ("transformer-engine", "transformer-engine-torch"):
        yield _installed(name, found[name])
    if not found["transformer-engine"]:
        return
    answer = probe.transformer_engine(python)
    name = "transformer_engine.pytorch"
    if answer.value is None:
        fix = "build its torch extension against this torch, with the headers of cuDNN and NCCL on CPATH: "
        fix += "pip install --no-build-isolation 'transformer-engine[pytorch]'"
        yield Check(name, "missing", answer.error, fix)
    else:
        yield Check(name, "ok", "from transformer_engine.pytorch import Linear works")


def options_check(root: Path) -> Check:
    """Are ms-swift's options, as installed below ``root``, those that recipes are checked against?"""
    name, known = "ms-swift's options", flags.table_version()
    try:
        installed = swift_source.version(root)
        read = swift_source.read_flags(root)
    except (ConfigError, SyntaxError) as error:
        return Check(name, "warning", f"cannot be read: {error}", f"install ms-swift {known}")
    changed = [
        f"{change}{flag}"
        for backend, now in read.items()
        for change, names in (("+", now.keys() - flags.table(backend)), ("-", flags.table(backend).keys() - now.keys()))
        for flag in sorted(names)
    ]
    if not changed:
        return Check(name, "ok", f"those of {known}, as recipes are checked against")
    some = ", ".join(changed[:6]) + (", ..." if len(changed) > 6 else "")
    fix = f"install ms-swift {known}, or renew the table: python packaging/swift_flags.py"
    return Check(name, "warning", f"{installed} differs from {known}: {some}", fix)


def _disk(recipe: Recipe | None, folder: Path) -> Iterator[Check]:
    from sft.training.memory import GIB
    from sft.training.model import QWEN3_8B
    from sft.training.plan import checkpoint_gib

    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free / GIB
    said = f"{free:.0f} GiB free in {place}"
    if recipe is None or recipe.name.startswith("tiny"):
        yield Check("disk", "ok" if free > 5 else "warning", said, "" if free > 5 else "make room, or set DOCDUET_HOME")
        return
    one = checkpoint_gib(recipe, QWEN3_8B)
    need = one * (int(recipe.flag("save_total_limit", 1)) + 1)
    fix = "make room, keep fewer (--set save_total_limit=2), or weights alone (--set no_save_optim=true: no --resume)"
    enough = free > need
    yield Check(
        "disk", "ok" if enough else "warning", f"{said}; checkpoints need {need:.0f} GiB", "" if enough else fix
    )


def _shared_cache() -> Check:
    name, place = "MODELSCOPE_CACHE", os.environ.get("MODELSCOPE_CACHE", "")
    if not place:
        return Check(name, "ok", "not set: runs on several nodes keep it in the run's folder, which all nodes must see")
    path = next(one for one in (Path(place).absolute(), *Path(place).absolute().parents) if one.exists())
    kind = filesystem(path)
    if kind.startswith(NETWORK_DISKS):
        return Check(name, "ok", f"{place} ({kind})")
    return Check(
        name,
        "warning",
        f"{place} is on a disk of this machine ({kind})",
        "for several nodes, set it to storage that all see",
    )


def filesystem(path: Path) -> str:
    """The type of the filesystem that holds ``path``, from /proc/mounts; "unknown" elsewhere."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown"
    within = [(at, kind) for at, kind in mounts if path.resolve().is_relative_to(at.replace("\\040", " "))]
    return max(within, key=lambda one: len(one[0]))[1] if within else "unknown"
