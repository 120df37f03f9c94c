"""The lock of an evaluation: one at a time, whoever comes and goes; nothing is left of it; a kill frees it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import BusyError
from evals.alone import alone

ROOT = Path(__file__).parents[1]
HOLD = """
import pathlib, sys, time
from evals.alone import alone
with alone(pathlib.Path(sys.argv[1]), ""):
    print(flush=True)
    time.sleep(600)
"""


def test_one_at_a_time_and_nothing_left(tmp_path: Path) -> None:
    lock = tmp_path / "unfinished" / "a.lock"
    with alone(lock, "busy"), pytest.raises(BusyError, match="wait for it"), alone(lock, "wait for it"):
        pass
    assert not lock.exists()
    with alone(lock, "busy"), alone(lock.with_name("b.lock"), "busy"):
        pass
    assert not list(lock.parent.iterdir())


def _come_and_go(lock: Path, times: int) -> None:
    """Be alone so many times; what only one at a time may make would fail if another were inside."""
    inside, done = lock.with_name("inside"), 0
    while done < times:
        try:
            with alone(lock, "busy"):
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
                inside.unlink()
                done += 1
        except BusyError:
            time.sleep(0.0005)  # three that only spin can keep the one inside from its turn for minutes


def test_many_that_come_and_go_are_never_inside_together(tmp_path: Path) -> None:
    """Every holder removes the file, so that others often lock one that is gone."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_come_and_go, args=(tmp_path / "a.lock", 300)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert not list(tmp_path.iterdir())


def test_a_killed_holder_frees_it(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], cwd=ROOT, stdout=subprocess.PIPE)
    assert holder.stdout
    holder.stdout.readline()
    with pytest.raises(BusyError), alone(lock, "busy"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with alone(lock, "busy"):
        pass
    assert not lock.exists()
