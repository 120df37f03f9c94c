"""A time limit on waits that come by the thousand: one timer for all waits of a stream.

`asyncio.timeout` sets a timer per wait, which was a sixth of a gateway's time at a few thousand pieces a second.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """``with patience: await ...`` raises TimeoutError when the wait lasts longer than ``each_s``, or beyond
    ``until`` (time of the running loop). Use it for the waits of one task at a time, and close it after the last."""

    def __init__(self, each_s: float = float("inf"), until: float = float("inf")) -> None:
        self.each_s = each_s
        self._until = until
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._due = until
        self._expired = False

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()
        now = self._loop.time()
        self._due = min(now + self.each_s, self._until)
        if self._due <= now:
            self._task = None
            raise TimeoutError
        if self._timer is None or self._timer.when() > self._due:
            self._set()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        task, self._task = self._task, None
        if not self._expired:
            return
        self._expired = False
        assert task is not None
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def close(self) -> None:
        """No more waits."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        """Time may be up; a wait that began since the timer was set has longer."""
        self._timer = None
        if self._task is None or self._expired:
            return
        if self._loop.time() < self._due:
            self._set()
            return
        self._expired = True
        self._task.cancel()
