"""One engine, watched: one that somebody else runs and is asked now and then, or one that we run and bury.

An engine that we run is a child under serving/reaper.py in a process group of its own and logs to
logs/engine-NAME.log. Which engines there are is supervisor.py's business.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.errors import EngineStartError
from serving.config import EngineConfig
from serving.engines import vllm
from serving.engines.engine import Engine

log = logging.getLogger(__name__)

State = Literal["external", "unreachable", "starting", "ready", "restarting", "failed"]
Launcher = Callable[[EngineConfig, int], vllm.Launch]
REAPER = Path(__file__).parents[1] / "reaper.py"


@dataclass(frozen=True)
class Policy:
    """How patient the supervisor is (seconds)."""

    poll_s: float = 0.5  # while an engine starts
    check_s: float = 5.0  # while it runs
    misses: int = 3  # failed checks in a row that make an engine dead
    backoff_s: float = 1.0  # doubles with each quick death ...
    backoff_cap_s: float = 60.0
    quick_deaths: int = 5  # ... of which this many in a row are enough
    stable_s: float = 60.0  # an engine that ran this long has not died quickly
    answer_s: float = 5.0  # longest wait for the answer to a check
    polite_s: float = 10.0  # between SIGTERM and SIGKILL
    linger_s: float = 2.0  # that an engine is kept for those who were given it just before it was replaced


class External:
    """An engine somebody else runs."""

    restarts = 0

    def __init__(self, config: EngineConfig, policy: Policy) -> None:
        self.config = config
        self._policy = policy
        self.detail = config.base_url
        self.trouble = ("", 0.0)
        self.state: State = "unreachable"
        self.engine = Engine(
            config.name,
            config.base_url,
            model=config.served_model,
            api_key=os.environ.get(config.api_key_env, "") if config.api_key_env else "",
            idle_timeout_s=config.idle_timeout_s,
            first_timeout_s=config.first_timeout_s,
            extra_body=config.extra_body,
            trust=config.trust,
        )

    @property
    def up(self) -> bool:
        return self.state == "external"

    async def check(self) -> None:
        before, self.state = self.state, "external" if await self.engine.ready(self._policy.answer_s) else "unreachable"
        if before != self.state:
            log.info("engine %s is %s", self.engine.name, self.state)
        if self.state == "unreachable":
            self.trouble = ("no answer", time.time())

    async def run(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(self._policy.check_s)

    async def aclose(self) -> None:
        await self.engine.aclose()


class Started:
    """An engine we run: a loop of start, watch, bury, wait."""

    def __init__(self, config: EngineConfig, logs: Path, launcher: Launcher, policy: Policy) -> None:
        self.config = config
        self._launcher = launcher
        self._policy = policy
        self._log = logs / f"engine-{config.name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self.engine: Engine | None = None
        self.state: State = "starting"
        self.detail = config.model
        self.trouble = ("", 0.0)
        self.restarts = 0

    @property
    def up(self) -> bool:
        return self.state == "ready"

    async def run(self) -> None:
        deaths = 0
        while True:
            born = time.monotonic()
            try:
                reason = await self._live()
            except EngineStartError as error:
                self._set("failed", str(error))
                return
            finally:
                await self._bury()
            lived = time.monotonic() - born
            deaths = deaths + 1 if lived < self._policy.stable_s else 1
            if deaths >= self._policy.quick_deaths:
                self._set("failed", f"{reason}; gave up after {deaths} tries, see {self._log}\n{self._last_lines()}")
                return
            self.restarting(f"{reason}; see {self._log}")
            await asyncio.sleep(min(self._policy.backoff_cap_s, self._policy.backoff_s * 2 ** (deaths - 1)))

    async def _live(self) -> str:
        """One life of the engine; returns why it ended."""
        port = self.config.port or free_port()
        await self._start(port)
        assert self._process
        ended = asyncio.create_task(self._process.wait())
        try:
            if not await self._until_ready(ended):
                return self._why_ended(ended, f"not ready after {self.config.start_timeout_s:g} s")
            self._set("ready", self.config.model)
            await self._until_dead(ended)
            return self._why_ended(ended, f"no answer to {self._policy.misses} health checks in a row")
        finally:
            ended.cancel()

    async def _start(self, port: int) -> None:
        what = self._launcher(self.config, port)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as sink:
            sink.write(f"\n--- {time.strftime('%Y-%m-%d %H:%M:%S')} starting: {' '.join(what.argv)}\n".encode())
            sink.flush()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-S", str(REAPER), str(self._policy.polite_s), *what.argv),
                stdin=asyncio.subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                env=os.environ | dict(what.env),
                start_new_session=True,  # the terminal's Ctrl-C is for the gateway alone
            )
        self.engine = Engine(
            self.config.name,
            f"http://127.0.0.1:{port}/v1",
            model=self.config.served_model or self.config.name,
            idle_timeout_s=self.config.idle_timeout_s,
            first_timeout_s=self.config.first_timeout_s,
            extra_body={"chat_template_kwargs": {"enable_thinking": self.config.thinking}} | self.config.extra_body,
            ignores=what.ignores,
            trust=self.config.trust,
        )

    async def _until_ready(self, ended: asyncio.Task[int]) -> bool:
        deadline = time.monotonic() + self.config.start_timeout_s
        assert self.engine
        while not ended.done() and time.monotonic() < deadline:
            if await self.engine.ready(self._policy.answer_s):
                return True
            await asyncio.wait([ended], timeout=self._policy.poll_s)
        return False

    async def _until_dead(self, ended: asyncio.Task[int]) -> None:
        missed = 0
        assert self.engine
        while not ended.done() and missed < self._policy.misses:
            await asyncio.wait([ended], timeout=self._policy.check_s)
            missed = 0 if ended.done() or await self.engine.ready(self._policy.answer_s) else missed + 1

    async def _bury(self) -> None:
        """End the process group (by closing the reaper's pipe) and wait for it."""
        process, self._process = self._process, None
        if process and process.stdin:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), self._policy.polite_s + 10)
            except TimeoutError:
                process.kill()
        engine, self.engine = self.engine, None
        if engine:
            await engine.aclose()

    async def aclose(self) -> None:
        await self._bury()

    def restarting(self, why: str, trouble: bool = True) -> None:
        """It ends, and another life begins. ``trouble``: because something went wrong."""
        self.restarts += 1
        self._set("restarting", why, trouble)

    def _set(self, state: State, detail: str, trouble: bool = True) -> None:
        self.state, self.detail = state, detail
        if trouble and state in ("failed", "restarting"):
            self.trouble = (detail, time.time())
        log.log(logging.WARNING if state in ("failed", "restarting") else logging.INFO, "engine %s is %s: %s",
                self.config.name, state, detail)  # fmt: skip

    def _why_ended(self, ended: asyncio.Task[int], otherwise: str) -> str:
        return f"exited with code {ended.result()}" if ended.done() else otherwise

    def _last_lines(self, count: int = 8) -> str:
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
