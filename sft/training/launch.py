"""A training run as a command line: what ms-swift is called with, in which environment, and where.

Pure: nothing is started here and nothing of Megatron is imported. run.py starts a Launch.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from data.errors import ConfigError
from sft.training.cluster import Cluster
from sft.training.dataset import TrainingData
from sft.training.flags import Value, as_argv, check
from sft.training.folder import is_on
from sft.training.parallel import layout
from sft.training.recipe import PLUGINS, Recipe

MODULE = {"megatron": "swift.cli._megatron.main", "swift": "swift.cli.main"}
"""What the commands `megatron` and `swift` run; by -m they are found without a PATH."""
EVALUATING = ("eval_strategy", "eval_steps", "eval_iters", "eval_delay", "eval_on_start", "do_eval")
"""Options that say when the validation loss is taken."""
OTHER_VALIDATION = ("split_dataset_ratio", "cached_val_dataset", "eval_dataset")
"""Options by which a recipe brings something of its own to validate with."""
HOOK = PLUGINS / "stop_on_request.py"
ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Where torch reads the settings of its GPU memory from: old name and new. The first that is set counts."""


@dataclass(frozen=True)
class Launch:
    """One node's command of a training run.

    ``env``: all that is added to the environment. ``cwd``: the run's folder. ``backend``: "megatron" or "swift".
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

    def shell(self) -> str:
        """The same to paste into a shell, on several lines."""
        added = " \\\n".join(f"{name}={shlex.quote(value)}" for name, value in sorted(self.env.items()))
        folder = shlex.quote(str(self.cwd))
        return f"mkdir -p {folder} && cd {folder} && \\\n{added} \\\n{_lines(self.argv)}"

    def as_dict(self) -> dict[str, object]:
        return {**self.__dict__, "argv": list(self.argv), "env": dict(self.env), "cwd": str(self.cwd)}


def launch(
    recipe: Recipe,
    dataset: TrainingData,
    machine: Cluster,
    *,
    model: Path,
    folder: Path,
    python: str = "python3",
    cache: str = "",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Launch:
    """The command that trains ``model`` on ``dataset`` into ``folder``. Raises ConfigError where numbers do not fit.

    ``cache``: folder that all nodes see, for prepared samples; default: one in ``folder``, which they see as well.
    ``environ``: the user's environment, whose settings of torch's allocator go before ours.
    """
    parts = layout(recipe, machine)
    flags = check(recipe.backend, {**_own(recipe, dataset, machine, model, folder), **_of_recipe(recipe, dataset)})
    argv = (python, "-m", MODULE[recipe.backend], "sft", *as_argv(flags))
    return with_hooks(
        Launch(
            argv,
            {**_environment(recipe, machine, cache or str(folder / "cache"), environ), **recipe.env},
            folder,
            recipe.backend,
            machine.world_size,
            parts.sequence * parts.global_batch if parts.packing else None,
            parts.sequence,
            parts.global_batch,
        )
    )


def with_hooks(plain: Launch) -> Launch:
    """With what watching it needs: the callback that saves when asked (by the file RUN/stop), a folder for each start,
    and output that is not held back."""
    argv = [*plain.argv, "--add_version", "true"]
    for name, value in (("external_plugins", str(HOOK)), ("callbacks", "stop_on_request")):
        flag = f"--{name}"
        if flag in argv:  # lists: argparse takes the last mention only, so ours joins the recipe's
            argv.insert(argv.index(flag) + 1, value)
        else:
            argv += [flag, value]
    own = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "DOCDUET_STOP_FILE": str(plain.cwd / "stop")}
    return replace(plain, argv=tuple(argv), env={**plain.env, **own})


def _own(recipe: Recipe, data: TrainingData, machine: Cluster, model: Path, folder: Path) -> dict[str, Value]:
    """What the command line of `docduet sft train` says, not the recipe."""
    flags: dict[str, Value] = {"model": str(model), "dataset": (str(data.train),)}
    if data.val:
        flags["val_dataset"] = (str(data.val),)
    else:
        flags["split_dataset_ratio"] = 0.0
    flags |= {"output_dir": str(folder), "check_model": False}
    if plugins := _plugins(recipe):
        flags["external_plugins"] = tuple(str(PLUGINS / f"{name}.py") for name in plugins)
    if recipe.backend == "swift" and not machine.gpus and machine.world_size > 1:
        flags["ddp_backend"] = "gloo"
    return flags


def validates(recipe: Recipe, data: TrainingData) -> bool:
    """Whether there is something to take the validation loss on."""
    return bool(data.val) or any(recipe.flag(name, False) for name in OTHER_VALIDATION)


def _of_recipe(recipe: Recipe, data: TrainingData) -> dict[str, Value]:
    """The recipe's options; without those of the validation where there is nothing to validate with."""
    left_out = () if validates(recipe, data) else EVALUATING
    return {name: value for name, value in recipe.flags.items() if name not in left_out}


def _plugins(recipe: Recipe) -> list[str]:
    """The recipe's, and the one without which a run with that optimizer cannot be gone on with."""
    aware = recipe.backend == "megatron" and is_on(str(recipe.flag("use_precision_aware_optimizer", False)))
    return [*recipe.plugins, *(["states_as_they_are"] if aware else [])]


def _environment(recipe: Recipe, machine: Cluster, cache: str, environ: Mapping[str, str]) -> dict[str, str]:
    env = {"HF_HUB_OFFLINE": "1"}
    if machine.gpus or machine.nodes > 1:
        env["NPROC_PER_NODE"] = str(machine.processes)
    if not machine.gpus:
        env["CUDA_VISIBLE_DEVICES"] = ""
    if recipe.backend == "megatron":
        env["CUDA_DEVICE_MAX_CONNECTIONS"] = "1"  # Megatron's tensor parallelism needs the order of its kernels
        env |= _allocator({**environ, **recipe.env})
    if machine.nodes > 1:
        env |= {
            "NNODES": str(machine.nodes),
            "NODE_RANK": str(machine.rank),
            "MASTER_ADDR": machine.master,
            "MASTER_PORT": str(machine.port),
            "MODELSCOPE_CACHE": cache,
        }
    return env


def _allocator(chosen: Mapping[str, str]) -> dict[str, str]:
    """What is ``chosen`` already, else segments that grow.

    Segments of fixed size leave gaps: qwen3-8b-1gpu reserved 135 GiB of 140 where 121 do, at the same speed. Where NCCL
    is to register torch's memory, megatron-core 0.16 refuses growing ones and says so: nccl_ub, and CUDA graphs
    unless NCCL_GRAPH_REGISTER=0. A torch built without CUDA's driver API warns and keeps to fixed ones.
    """
    own = {name: chosen[name] for name in ALLOCATOR if name in chosen}
    return own or {ALLOCATOR[0]: "expandable_segments:True"}


def _lines(argv: tuple[str, ...]) -> str:
    """An option a line."""
    text = ""
    for word in argv:
        text += f" \\\n    {word}" if word.startswith("--") else f" {shlex.quote(word)}"
    return text.strip()


def other_nodes(of: Launch) -> dict[int, Launch]:
    """Rank -> the command of each other node of a run on several."""
    nodes, rank = int(of.env.get("NNODES", "1")), int(of.env.get("NODE_RANK", "0"))
    return {other: replace(of, env={**of.env, "NODE_RANK": str(other)}) for other in range(nodes) if other != rank}


def check_model(folder: Path, recipe: Recipe) -> dict[str, object]:
    """The model's config.json. Raises ConfigError when ``folder`` is no model, or not the recipe's kind of model."""
    import json

    path = folder / "config.json"
    if not folder.is_dir():
        hint = (
            f"fetch it first: docduet sft fetch {folder} --out models/{folder.name}" if len(folder.parts) == 2 else ""
        )
        raise ConfigError(
            f"no folder {folder} with a model; {hint or 'give --model the folder of a Hugging Face model'}"
        )
    if not path.is_file():
        raise ConfigError(f"no config.json in {folder}: it must be a Hugging Face model's folder (`docduet sft fetch`)")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}); fetch the model again") from None
    wanted, kind = recipe.flags.get("model_type"), config.get("model_type")
    if wanted and kind and wanted != kind:
        raise ConfigError(
            f"{folder} is a model of type {kind}, but recipe {recipe.name} is for {wanted}: "
            "give --set model_type=... --set template=... as ms-swift calls them, or another model"
        )
    return dict(config)
