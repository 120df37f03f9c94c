"""What a person sees while a model trains: a bar in a terminal, a line now and then elsewhere; and TensorBoard.

All on stderr. The same line everywhere: step, loss, useful tokens per second, MFU, memory, time to go.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from sft.training.records import Evaluation, Step, mean

PLAIN_EVERY_S = 30.0


class Progress(Protocol):
    """Shown to somebody while training runs; ``note`` is for what happens once."""

    def __enter__(self) -> Progress: ...
    def __exit__(self, *_: Any) -> None: ...
    def step(self, step: Step) -> None: ...
    def evaluation(self, evaluation: Evaluation) -> None: ...
    def note(self, text: str) -> None: ...


class Eta:
    """Time to go, from the last logged steps."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=20)

    def seconds(self, step: Step) -> float:
        if math.isfinite(step.seconds):
            self._seconds.append(step.seconds)
        return mean(self._seconds) * (step.total - step.step)


def line(step: Step, eta_s: float) -> str:
    """One step in words; what is not known is left out."""
    parts = [f"loss {step.loss:.4g}"]
    if math.isfinite(step.tokens_per_s):
        parts.append(f"{step.tokens_per_s:,.0f} tokens/s")
    if math.isfinite(step.mfu):
        parts.append(f"MFU {step.mfu:.1%}")
    if math.isfinite(step.memory_gib):
        parts.append(f"{step.memory_gib:.1f} GiB")
    if math.isfinite(eta_s):
        parts.append(f"{duration(eta_s)} to go")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as 1:02:03 or 4:05."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


class PlainProgress:
    """Lines for log files: the first step, the last one, and one every ``every_s`` seconds."""

    def __init__(self, every_s: float = PLAIN_EVERY_S, write: Callable[[str], Any] | None = None) -> None:
        self._every_s, self._next, self._eta = every_s, 0.0, Eta()
        self._write = write or (lambda text: print(text, file=sys.stderr, flush=True))

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def step(self, step: Step) -> None:
        eta = self._eta.seconds(step)
        if time.monotonic() >= self._next or step.step == step.total:
            self._next = time.monotonic() + self._every_s
            self._write(f"step {step.step}/{step.total}: {line(step, eta)}")

    def evaluation(self, evaluation: Evaluation) -> None:
        self._write(f"step {evaluation.step}: validation loss {evaluation.loss:.4g}")

    def note(self, text: str) -> None:
        self._write(text)


class BarProgress:
    """A bar for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True)
        columns = (TextColumn("Training"), BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=self._console)
        self._task = self._bar.add_task("starting, see train.log", total=None)
        self._eta = Eta()

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, step: Step) -> None:
        said = line(step, self._eta.seconds(step))
        self._bar.update(self._task, completed=step.step, total=step.total, description=said)

    def evaluation(self, evaluation: Evaluation) -> None:
        self.note(f"step {evaluation.step}: validation loss {evaluation.loss:.4g}")

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


def make_progress() -> Progress:
    """The bar where stderr is a terminal, else lines."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()


class Scalars:
    """Speed, MFU and memory beside ms-swift's own TensorBoard curves; nothing where tensorboard is not installed."""

    def __init__(self) -> None:
        self._writer: Any = None

    def open(self, version: Path) -> None:
        """``version``: ms-swift's folder of this start."""
        if find_spec("tensorboard") is not None:  # asked first: the import below takes torch along
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(version / "runs"), filename_suffix=".docduet")

    def add(self, step: Step) -> None:
        for name in ("tokens_per_s", "mfu", "memory_gib", "seconds"):
            value = getattr(step, name)
            if self._writer is not None and math.isfinite(value):
                self._writer.add_scalar(f"docduet/{name}", value, step.step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
