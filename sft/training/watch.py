"""One start of the trainer, watched from its birth to its end.

The trainer is a process group of its own: a terminal's Ctrl-C reaches the watcher alone, which asks for a checkpoint
first. Nothing of it outlives the watcher's care (processes.py): what is left when the trainer ends is killed, so that
the GPUs are free. The watcher itself may be killed (SIGKILL): then training goes on, and the folder's lock says so.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sft.training.checkpoints import checkpoints
from sft.training.disk import Guard
from sft.training.folder import versions
from sft.training.health import Health
from sft.training.processes import end
from sft.training.progress import Progress, Scalars
from sft.training.records import Evaluation, Reader, Step

Reason = Literal["", "diverged", "disk", "stopped"]


@dataclass(frozen=True)
class Patience:
    """Seconds. ``save_s``: for the checkpoint that was asked for. ``polite_s``: between SIGTERM and SIGKILL."""

    poll_s: float = 0.5
    disk_s: float = 5.0
    save_s: float = 900.0
    polite_s: float = 20.0


@dataclass(frozen=True)
class Ending:
    """``code``: the trainer's exit code. ``reason``: why the watcher ended it, "" where it ended by itself."""

    code: int
    reason: Reason
    said: str
    step: int
    total: int
    last_good: int
    signal: int = 0


@dataclass
class Watch:
    """Starts the trainer and follows it.

    ``seen``: called with ms-swift's new folder, once it is there. ``first_node``: on the others nothing is logged, and
    the stop file is the first one's to clear away.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    out: Path
    log: Path
    stop_file: Path
    reader: Reader
    health: Health
    guard: Guard
    progress: Progress
    patience: Patience = field(default_factory=Patience)
    seen: Callable[[Path], Any] = lambda _: None
    first_node: bool = True
    _version: Path | None = None
    _offset: int = 0
    _step: int = 0
    _total: int = 0
    _reason: Reason = ""
    _said: str = ""
    _signals: list[int] = field(default_factory=list)
    _deadline: float = float("inf")
    _disk_due: float = 0.0
    _scalars: Scalars = field(default_factory=Scalars)

    def run(self, lock: int) -> Ending:
        """Until the trainer has ended. ``lock``: file descriptor that the trainer inherits."""
        before = {path.name for path in versions(self.out)}
        if self.first_node:
            self.stop_file.unlink(missing_ok=True)
        with self.log.open("ab") as sink, _signals(self._signals):
            sink.write(f"\n--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(self.argv)}\n".encode())
            sink.flush()
            process = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
                pass_fds=(lock,),
            )
            try:
                self._follow(process, before)
            finally:
                end(process, self.env, self.patience.polite_s)
        self._drain(before)
        self._scalars.close()
        if self.first_node:
            self.stop_file.unlink(missing_ok=True)
        number = self._signals[0] if self._signals else 0
        return Ending(
            process.returncode, self._reason, self._said, self._step, self._total, self.health.last_good, number
        )

    def _follow(self, process: subprocess.Popen[bytes], before: set[str]) -> None:
        while process.poll() is None:
            self._drain(before)
            self._look_at_disk()
            self._obey()
            if self._reason in ("diverged", "disk") or time.monotonic() > self._deadline:
                return
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.patience.poll_s)

    def _drain(self, before: set[str]) -> None:
        """Read what was logged since; a last line without its end is left for the next time."""
        if self._version is None:
            self._version = next((path for path in versions(self.out) if path.name not in before), None)
            if self._version is None:
                return
            self.seen(self._version)
            self._scalars.open(self._version)
        try:
            with (self._version / "logging.jsonl").open("rb") as source:
                source.seek(self._offset)
                new = source.read()
        except FileNotFoundError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            self._take(self.reader.read(line))

    def _take(self, record: Step | Evaluation | None) -> None:
        if isinstance(record, Evaluation):
            self.progress.evaluation(record)
        elif record is not None:
            self._step, self._total = record.step, record.total
            self.progress.step(record)
            self._scalars.add(record)
            if not self._reason and (trouble := self.health.check(record)):
                self._reason, self._said = "diverged", trouble

    def _look_at_disk(self) -> None:
        if self._reason or self._version is None or time.monotonic() < self._disk_due:
            return
        self._disk_due = time.monotonic() + self.patience.disk_s
        if trouble := self.guard.check(checkpoints(versions(self.out))):
            self._reason, self._said = "disk", trouble

    def _obey(self) -> None:
        """The first signal asks for a checkpoint; a second one, or one before the first step, stops at once."""
        if not self._signals:
            return
        if self._reason != "stopped":
            self._reason, self._said = "stopped", f"stopped by {signal.Signals(self._signals[0]).name}"
            worth_it = self._step > 0 or not self.first_node  # other nodes do not see the steps
            self._deadline = time.monotonic() + (self.patience.save_s if worth_it else 0)
            if worth_it:
                self.stop_file.touch()
                self.progress.note("saving a checkpoint after this step; Ctrl-C again stops without")
        elif len(self._signals) > 1:
            self._deadline = 0.0


@contextmanager
def _signals(received: list[int]) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP are noted and not obeyed; as before afterwards. Only the main thread can do so."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        before = {number: signal.signal(number, lambda got, _: received.append(got)) for number in numbers}
    except ValueError:
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
