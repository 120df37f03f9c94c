"""The demonstration's model: docduet-tiny, which comes in data/samples/models, served by vLLM where that is installed.

Its base reads (`rag`), and its adapter has learned the handbook (`sft`): one engine holds both. Where a part is missing
answers are quoted, and whoever starts the demonstration is told which part, and how to get it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.checkpoints import bundled_adapter, bundled_base, current, is_demo, publish, read_manifest
from data.errors import CheckpointError, EngineStartError
from data.home import Home
from rag.config import RagConfig
from serving.config import EngineConfig
from serving.engines.vllm import installed

CONTEXT_TOKENS = 1600
"""What docduet-tiny reads unless [rag] says otherwise: prompts of 1,500 tokens, read in about 1.5 s on two cores
without bfloat16. 2,400 takes 2 to 3 s and finds hardly a fact more for the handbook's questions (benchmarks/LOG.md)."""


@dataclass(frozen=True)
class Demo:
    """``engine``: None where answers are quoted; ``said``: which it is, in words for a person."""

    engine: EngineConfig | None
    said: str

    @property
    def engines(self) -> tuple[EngineConfig, ...]:
        """As [serving] lists them."""
        return (self.engine,) if self.engine else ()


def demo_engine() -> Demo:
    """What the demonstration answers with."""
    base, adapter = bundled_base(), bundled_adapter()
    if base is None:
        return Demo(None, "none: no model comes with this version, so answers are quotes from the best passages")
    try:
        installed()
    except EngineStartError:
        said = "none: answers are quotes; `make engine` installs what the bundled small model needs to write them"
        return Demo(None, said)
    rank = (read_manifest(adapter).lora_rank or 8) if adapter else 8
    engine = EngineConfig(name="base", model=str(base), lora=adapter is not None, lora_rank=rank)
    voices = "reads and has learned" if adapter else "reads"
    return Demo(engine, f"docduet-tiny, a small model that {voices} the handbook (quotes until it is ready)")


def readable(config: RagConfig, engines: Sequence[EngineConfig]) -> RagConfig:
    """``config`` with CONTEXT_TOKENS where docduet-tiny reads and nothing else was said."""
    if "context_tokens" in config.model_fields_set or not any(is_demo(engine.model) for engine in engines):
        return config
    return config.model_copy(update={"context_tokens": CONTEXT_TOKENS})


def publish_bundled(home: Home) -> None:
    """Let the bundled adapter answer as `sft`, unless another checkpoint was published that is still there."""
    adapter = bundled_adapter()
    if adapter is None:
        return
    try:
        published = current(home)
    except CheckpointError:
        published = None
    if published is None or not published.is_dir():
        publish(home, adapter)
