"""The `sft` voice's engine: always on the checkpoint that was published last, changed without a restart.

`docduet sft export RUN --serve` replaces a pointer in DOCDUET_HOME (data/checkpoints.py). It is looked at every few
seconds. A new checkpoint gets an engine of its own; an adapter over the model of an engine with ``lora`` is loaded into
that one instead (adapter.py). Only when it answers do questions go to it, and what was before it ends after its last
answer. A checkpoint that is damaged, or does not come up, changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

from data.checkpoints import Manifest, current, read_manifest
from data.errors import CheckpointError
from data.home import Home
from serving.config import EngineConfig, ServingConfig
from serving.engines.adapter import Adapter
from serving.engines.engine import Engine
from serving.engines.supervisor import Supervisor
from serving.engines.vllm import lora_rank

log = logging.getLogger(__name__)

POLL_S = 2.0


class CheckpointEngine:
    """Async context manager. ``problem``: why the checkpoint published last does not answer; "" when it does."""

    def __init__(self, home: Home, supervisor: Supervisor, config: ServingConfig, poll_s: float = POLL_S) -> None:
        self._home = home
        self._supervisor = supervisor
        self._config = config
        self._poll_s = poll_s
        self._serving = ""
        self._adapter: Adapter | None = None
        self._seen: tuple[object, ...] = ()
        self._made = 0
        self._task: asyncio.Task[None] | None = None
        self.manifest: Manifest | None = None
        self.folder: Path | None = None
        self.problem = ""

    async def __aenter__(self) -> CheckpointEngine:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def published(self) -> bool:
        """Whether there is a checkpoint at all, ready or not."""
        return bool(self._seen)

    def status(self) -> dict[str, object]:
        """For /readyz: the state, what answers, and why the checkpoint published last does not, where it does not."""
        if not self.published:
            return {"state": "none"}
        said: dict[str, object] = {"state": "ready" if self.engine() else "failed" if self.problem else "starting"}
        if self.manifest:
            said |= {"step": self.manifest.step, "base_model": self.manifest.base_model}
        return said | ({"problem": self.problem} if self.problem else {})

    @property
    def host(self) -> str:
        """The name of the engine that holds the checkpoint; "" before there is one."""
        return self._serving

    def engine(self) -> Engine | None:
        """The engine to ask now."""
        if self._adapter:
            return self._adapter.engine if self._in_place(self._adapter) else None
        return self._supervisor.engine(self._serving) if self._serving else None

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
                await self._put_back()
            except Exception:  # whatever it was, the voice that answers goes on answering
                log.exception("the published checkpoint could not be looked at")
            await asyncio.sleep(self._poll_s)

    async def _look(self) -> None:
        seen = await asyncio.to_thread(_stamp, self._home)
        if not seen or seen == self._seen:
            return
        self._seen = seen
        try:
            folder, manifest = await asyncio.to_thread(_read, self._home)
            await self._switch(folder, manifest)
        except CheckpointError as error:
            self.problem = str(error)
            log.warning("the published checkpoint is not served: %s", error)

    async def _switch(self, folder: Path, manifest: Manifest) -> None:
        """Bring ``folder`` up and hand over to it. Raises CheckpointError when it does not come up."""
        self._made += 1
        name, old, old_adapter = f"sft-{self._made}", self._serving, self._adapter
        host = self._supervisor.lora_host(manifest.base_model) if manifest.kind == "adapter" else ""
        if host and (await self._supervisor.settled(host)).state == "ready":
            self._adapter = await self._load(host, name, folder, manifest)
            self._serving = host
        else:
            await self._start(name, folder, manifest)
            self._serving, self._adapter = name, None
        self.manifest, self.folder, self.problem = manifest, folder, ""
        if old_adapter:
            await old_adapter.retire(self._config.answer_timeout_s, self._supervisor.linger_s)
        elif old:
            await self._supervisor.retire(old, self._config.answer_timeout_s)

    async def _start(self, name: str, folder: Path, manifest: Manifest) -> None:
        """An engine of its own."""
        self._supervisor.add(engine_config(name, folder, manifest, self._config.sft_args))
        log.info("starting engine %s on %s", name, folder)
        state = await self._supervisor.settled(name)
        if state.state != "ready":
            await self._supervisor.retire(name, 0)
            raise CheckpointError(f"the engine for {folder} did not start: {state.detail}")

    async def _load(self, host: str, name: str, folder: Path, manifest: Manifest) -> Adapter:
        """A place in the engine ``host``."""
        engine = self._supervisor.engine(host)
        if engine is None:
            raise CheckpointError(f"the engine {host!r} ended before the adapter {folder} was loaded")
        adapter = Adapter(engine, name, folder, manifest.enable_thinking)
        log.info("loading the adapter %s into engine %s as %s", folder, host, name)
        await adapter.load()
        return adapter

    def _in_place(self, adapter: Adapter) -> bool:
        return self._supervisor.engine(self._serving) is adapter.host

    async def _put_back(self) -> None:
        """Load the adapter again into an engine that was started anew: it has lost it."""
        lost = self._adapter
        engine = self._supervisor.engine(self._serving) if lost else None
        if lost is None or engine is None or engine is lost.host:
            return
        fresh = Adapter(engine, lost.name, lost.folder, bool(self.manifest and self.manifest.enable_thinking))
        try:
            await fresh.load()
        except CheckpointError as error:
            self.problem = str(error)
            log.warning("the adapter is not back: %s", error)
            return
        self._adapter, self.problem = fresh, ""
        await lost.engine.aclose()


def engine_config(name: str, folder: Path, manifest: Manifest, args: tuple[str, ...] = ()) -> EngineConfig:
    """How vLLM serves the checkpoint: a full model as it is, an adapter over its base model."""
    if manifest.kind == "full":
        return EngineConfig(name=name, model=str(folder), args=args, thinking=manifest.enable_thinking)
    rank = lora_rank(manifest.lora_rank or 8)
    module = json.dumps({"name": "sft", "path": str(folder), "base_model_name": name})
    return EngineConfig(
        name=name,
        model=manifest.base_model,
        served_model="sft",
        args=("--enable-lora", "--max-lora-rank", str(rank), "--lora-modules", module, *args),
        thinking=manifest.enable_thinking,
    )


def _stamp(home: Home) -> tuple[object, ...]:
    """Changes whenever something is published, the same folder again included; () before the first."""
    try:
        at = home.current_sft.stat()
    except OSError:
        return ()
    return at.st_mtime_ns, at.st_ino, at.st_size


def _read(home: Home) -> tuple[Path, Manifest]:
    folder = current(home)
    if folder is None:
        raise CheckpointError("the published checkpoint was taken away")
    return folder, read_manifest(folder)
