"""Refresh, on schedule or when asked: a child process syncs the sources and builds the index anew.

The child is `docduet sync --json`, so its memory and its work stay out of the gateway; it runs under reaper.py and ends
with the gateway, however that ends. A refresh that fails leaves the index that serves as it is, and is tried again at
the next time. The last result lies in a file, so that a restart neither forgets it nor refreshes at once, and several
gateways with one home take turns.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data.errors import BusyError, DocDuetError
from data.progress import read_progress
from rag.live import LiveIndex

log = logging.getLogger(__name__)

REAPER = Path(__file__).with_name("reaper.py")
POLITE_S = 10.0  # between SIGTERM and SIGKILL, when the gateway ends
LOOK_S = 30.0  # how often the clock and the file are looked at, at least
LONGEST_S = 24 * 3600.0  # a sync that takes longer hangs
COUNTS = ("added", "changed", "removed", "unchanged")
WARNINGS = 20
"""Kept of a source, at most: what could not be read, and why."""


@dataclass(frozen=True)
class Plan:
    """``every_s``: 0 for only when asked. ``argv``: the command that syncs and prints JSON; ``env``: what is added to
    the gateway's own environment."""

    every_s: float
    argv: tuple[str, ...]
    state: Path
    log: Path
    env: Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """The last refresh. Times are seconds since the epoch; ``succeeded_at``: the end of the last one without error.

    ``sources``: what came of each: counts, ``error``, ``warnings`` (the first ones) and ``warned`` (how many).
    """

    started_at: float = 0.0
    seconds: float = 0.0
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    error: str = ""
    succeeded_at: float = 0.0
    sources: Sequence[Mapping[str, Any]] = ()

    @property
    def ended_at(self) -> float:
        return self.started_at + self.seconds

    @classmethod
    def load(cls, path: Path) -> Result | None:
        """What is kept at ``path``, if that can be read."""
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**kept, "sources": tuple(kept.get("sources", ()))})
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def save(self, path: Path) -> None:
        """Replace the file in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")
        os.replace(draft, path)


class Refresher:
    """Async context manager; between entering and leaving, refreshes happen by themselves."""

    def __init__(self, plan: Plan, live: LiveIndex) -> None:
        self.plan = plan
        self.running = False
        self._live = live
        self._last = Result.load(plan.state)
        self._task: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()

    async def __aenter__(self) -> Refresher:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def last(self) -> Result | None:
        """The last result, of whichever gateway of this home."""
        found = Result.load(self.plan.state)
        if found and (self._last is None or found.started_at > self._last.started_at):
            self._last = found
        return self._last

    def due_at(self) -> float:
        """When the next refresh starts. Without an earlier one, the age of the index counts; without that, now."""
        if not self.plan.every_s:
            return math.inf
        last = self.last
        if last:
            return last.ended_at + self.plan.every_s
        try:
            return self._live.retriever().info.created_at + self.plan.every_s
        except DocDuetError:
            return 0.0

    def status(self) -> dict[str, Any]:
        """For /readyz."""
        last = self.last
        state = "running" if self.running else "waiting" if self.plan.every_s else "off"
        next_at = max(self.due_at(), time.time()) if self.plan.every_s else None
        told = read_progress(self._live.home.progress)
        body = {"state": state, "every_s": self.plan.every_s, "next_at": next_at}
        body["progress"] = asdict(told) if told else None
        return body | {"last": asdict(last) if last else None}

    def start(self) -> None:
        """Refresh now. Raises BusyError while a refresh runs, of this gateway or of another one of this home."""
        if self.running or self._asked.is_set() or not self._free():
            raise BusyError("a refresh is running already: wait for it to end")
        self._asked.set()

    def _free(self) -> bool:
        self.plan.state.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._lock_file, timeout=0):
                return True
        except Timeout:
            return False

    @property
    def _lock_file(self) -> Path:
        return self.plan.state.with_suffix(".lock")

    async def _run(self) -> None:
        while True:
            wait = LOOK_S
            try:
                wait = await asyncio.to_thread(self.due_at) - time.time()
                if (wait <= 0 or self._asked.is_set()) and await self._in_turn():
                    continue
            except Exception:  # a home that cannot be written, for one: what is mended later is noticed later
                log.exception("the refresh cannot be looked after")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), min(max(wait, 1.0), LOOK_S))

    async def _in_turn(self) -> bool:
        """Refresh, unless another gateway of this home does; whether that was done."""
        self.plan.state.parent.mkdir(parents=True, exist_ok=True)
        asked = self._asked.is_set()
        self._asked.clear()
        try:
            with FileLock(self._lock_file, timeout=0):
                if not asked and self.due_at() > time.time():
                    return True  # another gateway has just done it
                await self._refresh()
                return True
        except Timeout:
            return False

    async def _refresh(self) -> None:
        before, started = self.last or Result(), time.time()
        self.running = True
        try:
            found = await self._sync()
        except Exception as error:
            found = Result(error=str(error) or type(error).__name__)
        finally:
            self.running = False
            self._live.home.progress.unlink(missing_ok=True)  # the child may have been killed
        ended = time.time()
        succeeded = before.succeeded_at if found.error else ended
        result = replace(found, started_at=started, seconds=round(ended - started, 3), succeeded_at=succeeded)
        self._note(result)
        try:
            await asyncio.to_thread(self._live.retriever)  # the new index is loaded before somebody asks
        except DocDuetError as error:
            log.warning("after a refresh: %s", error)

    def _note(self, result: Result) -> None:
        self._last = result
        counts = ", ".join(f"{getattr(result, name)} {name}" for name in COUNTS)
        if result.error:
            log.warning("the refresh failed, the index stays: %s (more in %s)", result.error, self.plan.log)
        else:
            log.info("refreshed in %.1f s: %s", result.seconds, counts)
        try:
            result.save(self.plan.state)
        except OSError as error:
            log.warning("the result of the refresh cannot be kept: %s", error)

    async def _sync(self) -> Result:
        """Run the child; what it says as a Result without times."""
        self.plan.log.parent.mkdir(parents=True, exist_ok=True)
        with self.plan.log.open("ab") as sink:
            sink.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(self.plan.argv)}\n".encode())
            sink.flush()
            said_from = sink.tell()
            child = await self._start(sink)
            try:
                async with asyncio.timeout(LONGEST_S):
                    assert child.stdout
                    printed = await child.stdout.read()
                    code = await child.wait()
            except TimeoutError:
                return Result(error=f"not done after {LONGEST_S / 3600:.0f} hours, so it was stopped")
            finally:
                await _bury(child)
        with self.plan.log.open("rb") as said:
            said.seek(said_from)
            return read_result(printed, said.read().decode(errors="replace"), code)

    async def _start(self, sink: Any) -> asyncio.subprocess.Process:
        nice = ("nice", "-n", "10") if shutil.which("nice") else ()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-S", str(REAPER), str(POLITE_S), *nice, *self.plan.argv),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=sink,
            env=os.environ | dict(self.plan.env),
            start_new_session=True,  # the terminal's Ctrl-C is for the gateway alone
        )


async def _bury(child: asyncio.subprocess.Process) -> None:
    """End the child, if it still runs, by closing the reaper's pipe."""
    assert child.stdin
    child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), POLITE_S + 5)
    except TimeoutError:
        child.kill()


def read_result(printed: bytes, said: str, code: int) -> Result:
    """What `docduet sync --json` did: ``printed`` is its JSON, if it came that far, ``said`` its standard error."""
    try:
        reports = json.loads(printed)["sources"]
    except (ValueError, KeyError, TypeError):
        reports = []
    counts = {name: sum(_count(report.get(name, 0)) for report in reports) for name in COUNTS}
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if line.startswith("docduet: ")), lines[-1] if lines else "")
    error = "" if code == 0 else last.removeprefix("docduet: ") or f"`docduet sync` ended with code {code}"
    return Result(**counts, error=error[:1000], sources=tuple(_source(report) for report in reports))


def _source(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of one source's report; what could not be fetched comes before what is no document."""
    counts = {name: _count(report.get(name, 0)) for name in COUNTS}
    said = [f"{entry['path']}: {entry['reason']}" for name in ("failed", "skipped") for entry in report.get(name, ())]
    told = {"warnings": [line[:500] for line in said[:WARNINGS]], "warned": len(said)}
    return {"source": str(report.get("source", "")), "error": str(report.get("error", ""))[:1000], **counts, **told}


def _count(value: Any) -> int:
    """Reports name pages, or just count them."""
    return len(value) if isinstance(value, list) else int(value)
