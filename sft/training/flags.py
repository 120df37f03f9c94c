"""ms-swift's options: what may stand in a recipe, and how it becomes a command line.

The table, swift_flags.json, is read from ms-swift's source by packaging/swift_flags.py. An option that is unknown, has
another name by now, or has a value of the wrong type is refused before anything starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from sft.training.swift_source import Flag

TABLE = Path(__file__).parent / "swift_flags.json"

RENAMED = {
    "megatron": {
        "load": "model (a Hugging Face folder) or mcore_model (a Megatron checkpoint)",
        "save": "output_dir",
        "save_interval": "save_steps",
        "max_epochs": "num_train_epochs",
        "eval_interval": "eval_steps",
        "log_interval": "logging_steps",
        "num_workers": "dataloader_num_workers",
        "train_type": "tuner_type",
        "learning_rate": "lr",
        "per_device_train_batch_size": "micro_batch_size",
        "gradient_accumulation_steps": "global_batch_size",
        "warmup_ratio": "lr_warmup_fraction",
        "gradient_checkpointing": "recompute_granularity",
    },
    "swift": {
        "train_type": "tuner_type",
        "lr": "learning_rate",
        "min_lr": "lr_scheduler_type cosine_with_min_lr and lr_scheduler_kwargs '{\"min_lr\": ...}'",
        "micro_batch_size": "per_device_train_batch_size",
        "global_batch_size": "gradient_accumulation_steps",
        "lr_warmup_fraction": "warmup_ratio",
    },
}
"""Backend -> a name used with ms-swift 3.x or the other backend -> its name today."""

COMMAND = {"megatron": "megatron sft", "swift": "swift sft"}
Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]


def write_table(version: str, flags: Mapping[str, Mapping[str, Flag]]) -> None:
    table = {backend: {name: flag.as_dict() for name, flag in sorted(of.items())} for backend, of in flags.items()}
    lines = [f'{{\n"version": {json.dumps(version)}']
    for backend, of in table.items():
        rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(flag, ensure_ascii=False)}" for name, flag in of.items())
        lines.append(f"{json.dumps(backend)}: {{\n{rows}\n}}")
    TABLE.write_text(",\n".join(lines) + "\n}\n", encoding="utf-8")


@cache
def table_version() -> str:
    """The version of ms-swift that the table was read from."""
    return str(_read()["version"])


@cache
def table(backend: str) -> Mapping[str, Flag]:
    rows = _read()[backend]
    return {name: Flag(**{**row, "choices": tuple(row.get("choices", ()))}) for name, row in rows.items()}


@cache
def _read() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))


def check(backend: str, given: Mapping[str, Any]) -> dict[str, Value]:
    """``given`` with every value in its option's type. Raises ConfigError that names the option and what to do."""
    return {name: _checked(backend, name, value) for name, value in given.items()}


def _checked(backend: str, name: str, value: Any) -> Value:
    known = table(backend)
    if name not in known:
        raise ConfigError(unknown(backend, name))
    flag = known[name]
    if flag.many:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_scalar(name, flag, item) for item in items)
    if isinstance(value, dict) and flag.type == "json":
        return json.dumps(value, ensure_ascii=False)
    return _scalar(name, flag, value)


def unknown(backend: str, name: str) -> str:
    """Why ``name`` is no option, and which one is meant."""
    new = RENAMED[backend].get(name)
    if new:
        return f"`{COMMAND[backend]}` of ms-swift {table_version()} has no option {name}: it is called {new} now"
    near = get_close_matches(name, table(backend), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "see https://swift.readthedocs.io for its options"
    return f"`{COMMAND[backend]}` of ms-swift {table_version()} has no option {name}; {hint}"


def _scalar(name: str, flag: Flag, value: Any) -> Scalar:
    try:
        read = _AS[flag.type](value)
    except (ValueError, TypeError):
        raise ConfigError(f"{name} is {value!r}; it must be {_SAID[flag.type]}") from None
    if flag.choices and str(read) not in map(str, flag.choices):
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(map(str, flag.choices))}")
    return read


def _bool(value: Any) -> bool:
    said = {"true": True, "false": False}.get(str(value).lower())
    if said is None:
        raise ValueError(value)
    return said


def _int(value: Any) -> int:
    if isinstance(value, bool) or float(value) != int(float(value)):
        raise ValueError(value)
    return int(float(value))


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    return int(value) if str(value).isdigit() else float(value)  # 100 steps stay 100, not 100.0


def _str(value: Any) -> str:
    if value is None or isinstance(value, dict | list | tuple):
        raise ValueError(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


_AS: dict[str, Callable[[Any], Scalar]] = {"bool": _bool, "int": _int, "float": _float, "str": _str, "json": _str}
_SAID = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number such as 1e-5",
    "str": "a word",
    "json": "a table, or JSON text",
}


def as_argv(flags: Mapping[str, Value]) -> list[str]:
    """--name value ..., in the order given."""
    argv: list[str] = []
    for name, value in flags.items():
        argv.append(f"--{name}")
        argv += [_text(item) for item in (value if isinstance(value, tuple) else (value,))]
    return argv


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
