"""A pool of processes for CPU work: they neither outlive the parent nor take its Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes: forking one that runs a progress bar's thread can deadlock.

    They import what they are given to do and nothing else. ``spawn`` would run the caller's script in each of them too,
    up to the very call that started them where it has no ``if __name__ == "__main__"``.
    """
    return ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_settle)


_starting = threading.Lock()


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _starting:
            script = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")  # without a file: there is none to run
            try:
                return SpawnProcess._Popen(process_obj)
            finally:
                sys.modules["__main__"] = script


class _Context(SpawnContext):
    Process = _Process


def _settle() -> None:
    """In a new process: Ctrl-C is the parent's to handle, and nobody outlives a parent that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=[parent.sentinel], daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
