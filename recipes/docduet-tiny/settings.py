"""The numbers of config.toml, read and checked. Standard library only: it runs on a bare GPU host."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).with_name("config.toml")


@dataclass(frozen=True)
class Stage:
    """One stage of training; config.toml says what each number is."""

    minutes: float
    row_tokens: int
    step_rows: int
    micro_rows: int
    optimizer: str
    peak_lr: float
    warmup: float
    decay: float
    floor: float
    weight_decay: float
    beta1: float
    beta2: float
    clip: float
    text_share: float
    text_weight: float
    save_every_s: float
    log_every: int
    heldout_rows: int

    def __post_init__(self) -> None:
        if self.step_rows % self.micro_rows:
            raise ValueError(f"step_rows ({self.step_rows}) must be a multiple of micro_rows ({self.micro_rows})")
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizer is adamw or muon, not {self.optimizer!r}")
        if not (self.warmup >= 0 and self.decay >= 0 and self.warmup + self.decay <= 1):
            raise ValueError("warmup and decay are shares of the schedule: together at most 1")

    def lr(self, progress: float) -> float:
        """The learning rate at ``progress`` (0 to 1) of the schedule: up, flat, down to ``floor`` of the peak."""
        progress = min(max(progress, 0.0), 1.0)
        if progress < self.warmup:
            return self.peak_lr * max(progress / self.warmup, 0.01)
        left = min(1.0, (1.0 - progress) / self.decay) if self.decay else 1.0
        return self.peak_lr * (self.floor + (1.0 - self.floor) * left)


@dataclass(frozen=True)
class Settings:
    """``model``: arguments of Qwen3Config, without what the tokenizer says. ``people``: as ``read``, but for what
    its own table says; a preset's ``read`` goes before both."""

    seed: int
    model: Mapping[str, Any]
    pretrain: Stage
    read: Stage
    people: Stage


def load(preset: str = "", path: Path = CONFIG) -> Settings:
    """config.toml, with ``[presets.NAME]`` laid over it. Raises ValueError with the name of what is wrong."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    presets = tables.pop("presets", {})
    if preset and preset not in presets:
        raise ValueError(f"no preset {preset!r} in {path}; it has: {', '.join(presets)}")
    over = presets.get(preset, {})
    model = {**tables["model"], **over.get("model", {})}
    above = {"pretrain": ("pretrain",), "read": ("read",), "people": ("read", "people")}
    stages = {
        name: _stage(
            name, {key: value for said in (tables, over) for one in ones for key, value in said.get(one, {}).items()}
        )
        for name, ones in above.items()
    }
    return Settings(int(over.get("seed", tables["seed"])), model, **stages)


def last_stage(work: Path) -> str:
    """The stage whose model is the one to use: "people" where it ran, "read" otherwise."""
    return "people" if (work / "people" / "model").is_dir() else "read"


def changed(stage: Stage, settings: Sequence[str]) -> Stage:
    """``stage`` with "key=value" changes. Raises ValueError."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in Stage.__dataclass_fields__:
            raise ValueError(f"--set {setting}: write KEY=VALUE; keys are {', '.join(Stage.__dataclass_fields__)}")
        values[key] = type(getattr(stage, key))(value)
    return replace(stage, **values)


def _stage(name: str, values: Mapping[str, Any]) -> Stage:
    known = {field.name for field in fields(Stage)}
    if values.keys() != known:
        wrong = sorted(values.keys() ^ known)
        raise ValueError(f"[{name}] of config.toml: unknown or missing: {', '.join(wrong)}")
    return Stage(**values)
