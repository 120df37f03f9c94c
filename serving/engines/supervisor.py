"""All engines of a gateway: started with it, added, replaced, restarted and retired while it runs, taken down with it.

Each engine with a ``model`` is a child process of ours; each with a ``base_url`` is only asked now and then whether it
answers. How one of them lives is watched.py's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError, EngineError
from serving.config import EngineConfig
from serving.engines import vllm
from serving.engines.engine import Engine
from serving.engines.watched import External, Launcher, Policy, Started, State


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
        self._watched: dict[str, External | Started] = {config.name: self._watch(config) for config in configs}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Supervisor:
        external = [watched for watched in self._watched.values() if isinstance(watched, External)]
        await asyncio.gather(*(watched.check() for watched in external))  # the first question finds the truth
        self._tasks = {name: asyncio.create_task(watched.run()) for name, watched in self._watched.items()}
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(watched.aclose() for watched in self._watched.values()))

    def _watch(self, config: EngineConfig) -> External | Started:
        if config.base_url:
            return External(config, self._policy)
        return Started(config, self._logs, self._launcher, self._policy)

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

    async def _settled(self, watched: External | Started) -> None:
        while True:
            if watched.state not in ("starting", "restarting"):
                return
            await asyncio.sleep(self._policy.poll_s)

    async def replace(self, config: EngineConfig, patience_s: float) -> None:
        """Change an engine: its successor starts beside it and takes over once it answers; the old one then ends as
        `retire` says. Raises EngineError when the successor does not answer; one that is up then stays."""
        old, watched = self._watched[config.name], self._watch(config)
        if isinstance(watched, External):
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
        if isinstance(watched, External):
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

    async def _leave(self, watched: External | Started, task: asyncio.Task[None], patience_s: float) -> None:
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
        model, ours = config.model or config.served_model, isinstance(watched, Started)
        return EngineState(name, watched.state, watched.detail, watched.restarts, model, ours, trouble, at)

    def states(self) -> list[EngineState]:
        return [self.state(name) for name in self._watched]


async def _end(watched: External | Started, task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await watched.aclose()
