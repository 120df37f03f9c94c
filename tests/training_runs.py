"""Runs of the real trainer, for tests: the interpreter, a small dataset, and starting one with a limit on its time.

Imports nothing that an environment of ms-swift alone would lack.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from data.prompts import sft_messages
from sft.training.launch import Launch
from sft.training.processes import members
from sft.training.progress import PlainProgress
from sft.training.run import run
from sft.training.watch import Patience

ROOT = Path(__file__).parents[1]
_OWN = ROOT / ".venv-train/bin/python"
PYTHON = Path(os.environ.get("DOCDUET_TRAIN_PYTHON") or (_OWN if _OWN.exists() else sys.executable))
"""With ms-swift: the one named by DOCDUET_TRAIN_PYTHON, else .venv-train's, else the one that runs the tests."""


def write_dataset(folder: Path, pairs: list[tuple[str, str]]) -> Path:
    """Questions and answers as `docduet sft build` writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.jsonl").open("w") as lines:
        for question, answer in pairs:
            messages = [*sft_messages(question), {"role": "assistant", "content": answer}]
            lines.write(json.dumps({"messages": messages}) + "\n")
    return folder


def ports(count: int = 64) -> list[tuple[str, str]]:
    return [(f"Which port does part {n} listen on?", f"Part {n} listens on port {7000 + n}.") for n in range(count)]


def train(what: Launch, dataset: Path, said: list[str], resume: bool = False, limit_s: float = 900) -> int:
    """As `docduet sft train` does it. Raises TimeoutError, and leaves no process behind."""

    def say(line: str) -> None:
        said.append(line)
        print(line, flush=True)  # pytest shows it where the test fails

    progress, patience = PlainProgress(0.0, say), Patience(poll_s=0.05)
    with limited(limit_s, what.cwd):
        return run(
            what, what.cwd, dataset=dataset, recipe="tiny-cpu", resume=resume, progress=progress, patience=patience
        )


@contextmanager
def limited(seconds: float, run_folder: Path) -> Iterator[None]:
    """Raises TimeoutError after ``seconds`` and ends what was started for the run. In the main thread only; beside
    pytest-timeout, which uses the same alarm and gets it back."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"{run_folder} took more than {seconds:g} s; see its train.log or the conversion's log")

    began, handler = time.monotonic(), signal.signal(signal.SIGALRM, late)
    rest, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except TimeoutError:
        for pid in members({"DOCDUET_STOP_FILE": str(run_folder / "stop")}):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, max(0.1, rest - (time.monotonic() - began)) if rest else 0)
        signal.signal(signal.SIGALRM, handler)


def once(when: Callable[[], bool], then: Callable[[], Any]) -> threading.Thread:
    def wait() -> None:
        while not when():
            time.sleep(0.02)
        then()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread
