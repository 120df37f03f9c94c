"""Starts engines, watches them, restarts them, and takes them down with the gateway.

Each engine with a ``model`` runs under serving/reaper.py in a process group of its own and logs to
logs/engine-NAME.log; each engine with a ``base_url`` is only asked now and then whether it answers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.errors import ConfigError, EngineError, EngineStartError
from serving.config import EngineConfig
from serving.engines import vllm
from serving.engines.engine import Engine

log = logging.getLogger(__name__)

State = Literal["external", "unreachable", "starting", "ready", "restarting", "failed"]
Launcher = Callable[[EngineConfig, int], vllm.Launch]
REAPER = Path(__file__).parents[1] / "reaper.py"


@dataclass(frozen=True)
class EngineState:
    """``detail`` says why, in words for a person. ``restarts``: since the gateway started.

    ``model``: what it was started on, or is asked for. ``ours``: whether DocDuet started it. ``trouble``: what went
    wrong last, also when all is well again, and ``trouble_at`` when (seconds since the epoch).
    """

    name: str
    state: State
    detail: str
    restarts: int = 0
    model: str = ""
    ours: bool = False
    trouble: str = ""
    trouble_at: float = 0.0


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


class Supervisor:
    """Async context manager around all engines. ``engine(name)`` gives an engine only while it can be asked."""

    def __init__(
        self,
        configs: Sequence[EngineConfig],
        logs: Path,
        launcher: Launcher = vllm.launch,
        policy: Policy | None = None,
    ) -> None:
        names = [config.name for config in configs]
        if len(set(names)) != len(names):
            raise ConfigError(f"two engines have the same name: {', '.join(names)}")
        self._policy = policy or Policy()
        self._logs = logs
        self._launcher = launcher
        self._watched: dict[str, _External | _Started] = {config.name: self._watch(config) for config in configs}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Supervisor:
        external = [watched for watched in self._watched.values() if isinstance(watched, _External)]
        await asyncio.gather(*(watched.check() for watched in external))  # the first question finds the truth
        self._tasks = {name: asyncio.create_task(watched.run()) for name, watched in self._watched.items()}
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(watched.aclose() for watched in self._watched.values()))

    def _watch(self, config: EngineConfig) -> _External | _Started:
        if config.base_url:
            return _External(config, self._policy)
        return _Started(config, self._logs, self._launcher, self._policy)

    def add(self, config: EngineConfig) -> None:
        """One more engine, while the others run. Raises ConfigError when its name is taken."""
        if config.name in self._watched:
            raise ConfigError(f"two engines have the same name: {config.name}")
        self._watched[config.name] = watched = self._watch(config)
        self._tasks[config.name] = asyncio.create_task(watched.run())

    async def settled(self, name: str) -> EngineState:
        """The engine's state once it answers or has been given up."""
        await self._settled(self._watched[name])
        return self.state(name)

    async def _settled(self, watched: _External | _Started) -> None:
        while True:
            if watched.state not in ("starting", "restarting"):
                return
            await asyncio.sleep(self._policy.poll_s)

    async def replace(self, config: EngineConfig, patience_s: float) -> None:
        """Change an engine: its successor starts beside it and takes over once it answers; the old one then ends as
        `retire` says. Raises EngineError when the successor does not answer; one that is up then stays."""
        old, watched = self._watched[config.name], self._watch(config)
        if isinstance(watched, _External):
            await watched.check()
        task = asyncio.create_task(watched.run())
        await self._settled(watched)
        if not watched.up and old.up:
            await _end(watched, task)
            plain = f"the engine with the new configuration is {watched.state}"
            raise EngineError(f"{plain}: {watched.detail}", plain)
        before, self._tasks[config.name] = self._tasks[config.name], task
        self._watched[config.name] = watched
        await self._leave(old, before, patience_s)

    async def restart(self, name: str) -> None:
        """End an engine that we run and start it anew, also one that was given up. Answers under way break off.

        Raises EngineError for an engine that somebody else runs."""
        watched = self._watched[name]
        if isinstance(watched, _External):
            raise EngineError(f"engine {name!r} runs elsewhere ({watched.detail}): restart it there")
        task = self._tasks.pop(name)
        watched.restarting("by an administrator", trouble=False)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._tasks[name] = asyncio.create_task(watched.run())

    async def retire(self, name: str, patience_s: float) -> None:
        """Take an engine away: nothing new is asked of it, and it ends when its last answer has, or after
        ``patience_s``. Whoever was given it just now has a moment to begin."""
        await self._leave(self._watched.pop(name), self._tasks.pop(name), patience_s)

    async def _leave(self, watched: _External | _Started, task: asyncio.Task[None], patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        await asyncio.sleep(min(self._policy.linger_s, patience_s))
        while time.monotonic() < deadline:
            if watched.engine is None or not watched.engine.active:
                break
            await asyncio.sleep(self._policy.poll_s)
        await _end(watched, task)

    def lora_host(self, model: str) -> str:
        """The name of the engine that was started on ``model`` and takes adapters; "" where there is none."""
        same = {model, str(Path(model).absolute())}
        for name, watched in self._watched.items():
            config = watched.config
            if config.lora and {config.model, str(Path(config.model).absolute())} & same:
                return name
        return ""

    @property
    def linger_s(self) -> float:
        """How long whoever was given an engine just before it was replaced has to begin (seconds)."""
        return self._policy.linger_s

    @property
    def engines(self) -> dict[str, Engine]:
        """The engines that can be asked now."""
        return {name: engine for name in self._watched if (engine := self.engine(name))}

    def engine(self, name: str) -> Engine | None:
        watched = self._watched.get(name)
        return watched.engine if watched and watched.up else None

    def state(self, name: str) -> EngineState:
        watched = self._watched[name]
        config, (trouble, at) = watched.config, watched.trouble
        model, ours = config.model or config.served_model, isinstance(watched, _Started)
        return EngineState(name, watched.state, watched.detail, watched.restarts, model, ours, trouble, at)

    def states(self) -> list[EngineState]:
        return [self.state(name) for name in self._watched]


async def _end(watched: _External | _Started, task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await watched.aclose()


class _External:
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
            quote_below=config.quote_below,
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


class _Started:
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
            quote_below=self.config.quote_below,
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
