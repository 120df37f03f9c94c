"""The `sft` voice's engine: always on the checkpoint that was published last, changed without a restart.

`docduet sft export RUN --serve` replaces a pointer in DOCDUET_HOME (data/checkpoints.py). It is looked at every few
seconds. A new checkpoint gets an engine of its own; only when that answers do questions go to it, and the engine
before it ends after its last answer. A checkpoint that is damaged, or whose engine does not start, changes nothing.
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
from serving.engines.engine import Engine
from serving.engines.supervisor import Supervisor

log = logging.getLogger(__name__)

POLL_S = 2.0
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What `vllm serve --max-lora-rank` takes."""


class CheckpointEngine:
    """Async context manager. ``problem``: why the checkpoint published last does not answer; "" when it does."""

    def __init__(self, home: Home, supervisor: Supervisor, config: ServingConfig, poll_s: float = POLL_S) -> None:
        self._home = home
        self._supervisor = supervisor
        self._config = config
        self._poll_s = poll_s
        self._serving = ""
        self._seen: tuple[object, ...] = ()
        self._made = 0
        self._task: asyncio.Task[None] | None = None
        self.manifest: Manifest | None = None
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

    def engine(self) -> Engine | None:
        """The engine to ask now."""
        return self._supervisor.engine(self._serving) if self._serving else None

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
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
            self.problem = ""
        except CheckpointError as error:
            self.problem = str(error)
            log.warning("the published checkpoint is not served: %s", error)

    async def _switch(self, folder: Path, manifest: Manifest) -> None:
        """Start an engine on ``folder`` and hand over to it. Raises CheckpointError when it does not come up."""
        self._made += 1
        name, old = f"sft-{self._made}", self._serving
        self._supervisor.add(engine_config(name, folder, manifest, self._config.sft_args))
        log.info("starting engine %s on %s", name, folder)
        state = await self._supervisor.settled(name)
        if state.state != "ready":
            await self._supervisor.retire(name, 0)
            raise CheckpointError(f"the engine for {folder} did not start: {state.detail}")
        self._serving, self.manifest = name, manifest
        if old:
            await self._supervisor.retire(old, self._config.answer_timeout_s)


def engine_config(name: str, folder: Path, manifest: Manifest, args: tuple[str, ...] = ()) -> EngineConfig:
    """How vLLM serves the checkpoint: a full model as it is, an adapter over its base model."""
    if manifest.kind == "full":
        return EngineConfig(name=name, model=str(folder), args=args, thinking=manifest.enable_thinking)
    rank = next((rank for rank in RANKS if rank >= (manifest.lora_rank or 8)), RANKS[-1])
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
