"""A recipe: how one kind of model is trained on one kind of machine, as commented YAML in recipes/training/.

Keys: description, backend (megatron or swift), machine (nodes, gpus and memory of each), flags (ms-swift's own option
names, each checked against its table), env, plugins (files in plugin/ that ms-swift loads, by name). `docduet sft train
--set key=value` changes a flag for one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import ConfigError
from sft.training.flags import Value, check
from sft.training.folder import DEFAULT_TUNER

FOLDER = Path(__file__).parents[2] / "recipes" / "training"
PLUGINS = Path(__file__).parent / "plugin"

OWN = ("model", "dataset", "val_dataset", "output_dir")
"""What `docduet sft train` sets itself, from --model, --dataset and --out."""


class Machine(BaseModel):
    """What a recipe is made for. ``gpus``: of each node, 0 for none; ``memory``: GiB of each GPU, or of the machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: int = Field(1, ge=1)
    gpus: int = Field(ge=0)
    memory: float = Field(gt=0)


class Recipe(BaseModel):
    """A recipe whose flags have been checked; ``name`` is the file's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = Field(min_length=1)
    backend: Literal["megatron", "swift"]
    machine: Machine
    flags: dict[str, Any]
    env: dict[str, str] = {}
    plugins: list[Literal["fused_gradients"]] = []

    def flag(self, name: str, default: Value) -> Any:
        """The value of a flag, or what ms-swift takes without it."""
        return self.flags.get(name, default)

    @property
    def adapter(self) -> bool:
        """Whether it trains a LoRA adapter, not all parameters."""
        return bool(self.flag("tuner_type", DEFAULT_TUNER[self.backend]) != "full")


def presets() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """The recipe in the file ``name``, or the preset of that name, with ``settings`` ("key=value"). ConfigError."""
    path = _path(name)
    read = _yaml(path)
    if not isinstance(read, dict):
        raise ConfigError(f"{path} is no recipe: it needs description, backend, machine and flags")
    flags = read.get("flags")
    if isinstance(flags, dict):
        read = {**read, "flags": _with(flags, dict(map(setting, settings)))}
    try:
        recipe = Recipe(**{**read, "name": path.stem})
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explained(error)}") from None
    try:
        return recipe.model_copy(update={"flags": _flags(recipe)})
    except ConfigError as error:
        raise ConfigError(f"recipe {recipe.name}: {error}") from None


def _with(flags: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``flags`` with ``changes``. Steps take the place of epochs, which ms-swift would prefer."""
    if "train_iters" in changes and "num_train_epochs" not in changes:
        flags = {name: value for name, value in flags.items() if name != "num_train_epochs"}
    return {**flags, **changes}


def setting(text: str) -> tuple[str, Any]:
    """ "lr=2e-5" as ("lr", "2e-5"); lists and tables as YAML has them. Raises ConfigError."""
    import yaml

    name, equals, value = text.partition("=")
    name = name.strip().removeprefix("--")
    if not equals or not name:
        raise ConfigError(f"--set {text!r} is not understood; write --set key=value, such as --set lr=2e-5")
    try:
        return name, yaml.safe_load(value) if value.strip()[:1] in ("[", "{") else value.strip()
    except yaml.YAMLError:
        raise ConfigError(f"--set {name}: {value!r} is neither a value nor a list such as [a, b]") from None


def _flags(recipe: Recipe) -> dict[str, Value]:
    for name in OWN:
        if name in recipe.flags:
            option = {"output_dir": "--out", "val_dataset": "--dataset"}.get(name, f"--{name}")
            raise ConfigError(f"{name} does not belong into a recipe; give {option} to `docduet sft train`")
    if {"train_iters", "num_train_epochs"} <= set(recipe.flags):
        raise ConfigError("train_iters and num_train_epochs: ms-swift would take the epochs; give one of them")
    return check(recipe.backend, recipe.flags)


def _path(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.suffix and not path.is_file():
        path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        near = get_close_matches(name, presets(), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"no recipe {name!r}{hint} Give a .yaml file, or one of: {', '.join(presets())}")
    return path


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None


def _explained(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"the key {where} is missing"
    if first["type"] == "extra_forbidden":
        known = [*Recipe.model_fields, *(f"machine.{name}" for name in Machine.model_fields)]
        near = get_close_matches(where, [name for name in known if name != "name"], n=1, cutoff=0.5)
        return f"unknown key {where}" + (
            f"; did you mean {near[0]}?" if near else "; ms-swift's options go under flags"
        )
    return f"{where}: {first['msg']}"
