"""A few threads for work that may hang: unlike those of concurrent.futures, nobody waits for them at the end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class DaemonThreads:
    """``count`` threads at most, started with the first work."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """What ``work`` will give. Cancelled before its turn, it is not begun."""
        future: Future[T] = Future()

        def done() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        with self._starting:
            while len(self._threads) < self._count:
                self._threads.append(threading.Thread(target=self._run, name=self._name, daemon=True))
                self._threads[-1].start()
        self._work.put(done)
        return future

    def close(self) -> None:
        """End the threads once they have done what is queued."""
        for _ in self._threads:
            self._work.put(None)

    def _run(self) -> None:
        while work := self._work.get():
            work()
