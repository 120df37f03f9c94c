"""A LoRA adapter in an engine that runs already: put in while it answers, taken out after its last answer.

vLLM's own routes, which it has when it was started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING:
POST /v1/load_lora_adapter {"lora_name", "lora_path"} and POST /v1/unload_lora_adapter {"lora_name"}
(vllm/entrypoints/serve/lora/api_router.py). An adapter has a name of its own for every checkpoint, so that the old one
answers until the new one is there. An engine that is started anew has lost it.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from data.errors import CheckpointError, EngineError
from serving.engines.engine import Engine
from serving.ops.logs import plainly

log = logging.getLogger(__name__)

LOAD_TIMEOUT_S = 120.0


class Adapter:
    """``host``: the engine that holds it. ``engine``: what to ask; it shares the host's address and server."""

    def __init__(self, host: Engine, name: str, folder: Path, thinking: bool) -> None:
        self.host = host
        self.name = name
        self.folder = folder
        self.engine = host.serving(name, {"chat_template_kwargs": {"enable_thinking": thinking}})

    async def load(self) -> None:
        """Put it into the host. Raises CheckpointError, with the engine's own reason."""
        body = {"lora_name": self.name, "lora_path": str(self.folder)}
        try:
            await self.host.post("/load_lora_adapter", body, LOAD_TIMEOUT_S)
        except EngineError as error:
            raise CheckpointError(f"the adapter {self.folder} could not be loaded: {error}") from None

    async def retire(self, patience_s: float, linger_s: float) -> None:
        """Take it out when its last answer has ended, or after ``patience_s``; whoever was given it just now has
        ``linger_s`` to begin."""
        await asyncio.sleep(min(linger_s, patience_s))
        await self.engine.quiet(patience_s)
        try:
            await self.host.post("/unload_lora_adapter", {"lora_name": self.name}, LOAD_TIMEOUT_S)
        except EngineError as error:  # the engine ended: so did its adapters
            log.info("adapter %s was not unloaded: %s", self.name, plainly(error))
        await self.engine.aclose()
