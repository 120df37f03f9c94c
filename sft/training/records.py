"""A run's numbers, read from what ms-swift logs: one record a logged step, over all starts of the run.

ms-swift 4.6.0 writes a JSON line per logged step to vN-TIME/logging.jsonl. `megatron sft` counts in "iteration"
("12/400"), `swift sft` in "global_step/max_steps"; both give "train_speed(s/it)", a mean since the start, which is
undone here into seconds per step since the line before. A line cut short by a crash is left out. After a resume the
later folder's steps take the place of those that the earlier one had gone beyond the checkpoint.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from sft.training.folder import RunInfo, read_info, trainers_folder, versions


@dataclass(frozen=True)
class Step:
    """One logged step; NaN for what was not logged.

    ``seconds``: per step since the last logged one. ``memory_gib``: highest so far. ``tokens_per_s``: useful tokens.
    ``mfu``: share (0 to 1) of what the GPUs could do. ``samples``: conversations (packs, where packed) seen by then.
    """

    step: int
    total: int
    loss: float
    grad_norm: float = math.nan
    learning_rate: float = math.nan
    seconds: float = math.nan
    memory_gib: float = math.nan
    tokens_per_s: float = math.nan
    mfu: float = math.nan
    samples: int = 0


@dataclass(frozen=True)
class Evaluation:
    """The loss on the validation set."""

    step: int
    loss: float


@dataclass(frozen=True)
class Run:
    """What was logged. ``info``: None for a folder that `docduet sft train` did not make."""

    folder: Path
    info: RunInfo | None
    steps: tuple[Step, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.absolute().name

    def metrics(self) -> dict[str, float]:
        """The figures that a manifest carries: the last of each, means over the second half for speeds."""
        if not self.steps:
            return {}
        last, half = self.steps[-1], self.steps[len(self.steps) // 2 :]
        figures = {
            "steps": float(last.step),
            "loss": last.loss,
            "eval_loss": self.evaluations[-1].loss if self.evaluations else math.nan,
            "grad_norm": last.grad_norm,
            "memory_gib": last.memory_gib,
            "seconds_per_step": mean(step.seconds for step in half),
            "tokens_per_s": mean(step.tokens_per_s for step in half),
            "mfu": mean(step.mfu for step in half),
        }
        return {name: value for name, value in figures.items() if math.isfinite(value)}


def mean(values: Iterable[float]) -> float:
    """Of those that are finite; NaN where none is."""
    kept = [value for value in values if math.isfinite(value)]
    return sum(kept) / len(kept) if kept else math.nan


@dataclass
class Reader:
    """Turns the lines of one logging.jsonl into records, as they come.

    ``from_step``: where this start of the trainer began; seconds are counted from there.
    """

    from_step: int = 0
    rates: Callable[[Step], Step] = field(default=lambda step: step)
    _elapsed: float = 0.0
    _step: int = -1
    _total: int = 0

    def read(self, line: str) -> Step | Evaluation | None:
        """The line's record; None for a line of another kind, or one that is cut short."""
        try:
            row = json.loads(line)
        except ValueError:
            return None
        counted = (row.get("iteration") or row.get("global_step/max_steps")) if isinstance(row, dict) else None
        try:
            step, total = (int(part) for part in str(counted).split("/"))
        except ValueError:
            return None
        if "eval_loss" in row:
            return Evaluation(step, _number(row["eval_loss"]))
        return self._train(row, step, total) if "loss" in row else None

    def _train(self, row: dict[str, Any], step: int, total: int) -> Step:
        before = max(self._step, self.from_step)
        elapsed = _number(row.get("train_speed(s/it)")) * (step - self.from_step)
        seconds = (elapsed - self._elapsed) / (step - before) if step > before else math.nan
        self._elapsed, self._step, self._total = elapsed, step, max(total, self._total)
        return self.rates(
            Step(
                step,
                self._total,
                _number(row["loss"]),
                _grad_norm(row),
                _number(row.get("learning_rate")),
                seconds if seconds > 0 else math.nan,
                _number(row.get("memory(GiB)")),
            )
        )


def _grad_norm(row: dict[str, Any]) -> float:
    """Infinite for one that was logged as NaN: transformers' Trainer hides a NaN loss behind the mean of the others."""
    value = _number(row.get("grad_norm"))
    return math.inf if "grad_norm" in row and math.isnan(value) else value


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def rates(info: RunInfo | None) -> Callable[[Step], Step]:
    """Adds to a Step what follows from the run's own facts: samples, tokens/s, MFU."""
    if info is None:
        return lambda step: step

    def add(step: Step) -> Step:
        if info.epochs and info.samples and step.total:
            share = info.epochs / step.total  # of an epoch, per step; packs hold differing numbers of samples
            tokens, samples = info.tokens * share, info.samples * share
        else:
            tokens, samples = info.tokens_per_step, info.samples_per_step
        speed = tokens / step.seconds if tokens and step.seconds > 0 else math.nan
        mfu = speed * info.flops_per_token / (info.peak_tflops * 1e12) if info.peak_tflops else math.nan
        return replace(step, samples=round(step.step * samples), tokens_per_s=speed, mfu=mfu if mfu > 0 else math.nan)

    return add


def read_run(folder: Path) -> Run:
    """A run's folder, or a folder of ms-swift's own. Raises ConfigError where nothing was logged."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give the folder of a run (`docduet sft train --out`)")
    info = read_info(folder)
    found = versions(trainers_folder(info, folder) if info else folder)
    if not any((version / "logging.jsonl").is_file() for version in found):
        raise ConfigError(f"{folder} holds no logging.jsonl: nothing was logged yet, or it is not a run's folder")
    begins = {start.version: start.from_step for start in info.starts} if info else {}
    steps: list[Step] = []
    evaluations: list[Evaluation] = []
    for version in found:
        more, evals = _read_version(version, begins.get(version.name, 0), info)
        first = more[0].step if more else math.inf
        steps = [step for step in steps if step.step < first] + more
        evaluations = [one for one in evaluations if one.step < first] + evals
    return Run(folder, info, tuple(steps), tuple(evaluations))


def _read_version(version: Path, from_step: int, info: RunInfo | None) -> tuple[list[Step], list[Evaluation]]:
    reader = Reader(from_step, rates(info))
    steps: list[Step] = []
    evaluations: list[Evaluation] = []
    try:
        lines = (version / "logging.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        record = reader.read(line)
        if isinstance(record, Step):
            steps.append(record)
        elif record is not None:
            evaluations.append(record)
    return steps, evaluations


def columns(steps: Sequence[Step], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one field, those that are not finite left out."""
    kept = [(step.step, float(getattr(step, name))) for step in steps if math.isfinite(getattr(step, name))]
    return [step for step, _ in kept], [value for _, value in kept]
