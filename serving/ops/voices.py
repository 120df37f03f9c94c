"""Which voices can be asked, who answers for each, and why one is missing: what administrators see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from data.checkpoints import Manifest
from data.errors import DocDuetError
from serving.arms.verify import drift
from serving.pairing import COMPARE
from serving.router.router import AUTO

if TYPE_CHECKING:
    from serving.gateway import Gateway

State = Literal["ready", "quoting", "down", "missing"]
SINGLE = ("rag", "sft", "sft-rag", "base")


@dataclass(frozen=True)
class Voice:
    """``state``: quoting answers without an engine; down cannot answer now; missing is not offered.

    ``reason``: a stable word for why it is not ready, ``detail`` the same for people. ``engine``: who writes.
    """

    name: str
    state: State
    engine: str = ""
    reason: str = ""
    detail: str = ""


async def voices(gateway: Gateway) -> list[Voice]:
    """All voices that there can be."""
    single = [_single(gateway, name) for name in SINGLE]
    return [*single, Voice(AUTO, "ready"), _compare(gateway, {voice.name: voice for voice in single})]


def _compare(gateway: Gateway, single: dict[str, Voice]) -> Voice:
    if COMPARE not in gateway.models:
        return Voice(COMPARE, "missing", reason="needs_two", detail="it needs the voices rag and sft")
    return Voice(COMPARE, "ready" if single["sft"].state == "ready" else "down", reason="", detail="")


def _single(gateway: Gateway, name: str) -> Voice:
    offered = name in gateway.arms
    if name in ("sft", "sft-rag") and "sft" not in gateway.fixed:
        return _of_checkpoint(gateway, name, offered)
    engine = "sft" if name.startswith("sft") else "base"
    states = {state.name: state for state in gateway.supervisor.states()}
    if engine not in states:
        detail = "no engine is configured: see [[serving.engines]] in docduet.toml"
        return Voice(name, "quoting" if name == "rag" else "missing", "", "no_engine", detail)
    if gateway.supervisor.engine(engine):
        return Voice(name, "ready", engine)
    known = states[engine]
    return Voice(name, "quoting" if name == "rag" else "down", engine, "engine_down", f"{known.state}: {known.detail}")


def _of_checkpoint(gateway: Gateway, name: str, offered: bool) -> Voice:
    """A fine-tuned voice whose model is published rather than configured."""
    checkpoint = gateway.checkpoint
    if checkpoint is None or not offered:
        detail = "no checkpoint is published: run `docduet sft export RUN --serve`"
        return Voice(name, "missing", "", "no_checkpoint", detail)
    if checkpoint.engine():
        return Voice(name, "ready", checkpoint.host)
    reason = "checkpoint_failed" if checkpoint.problem else "checkpoint_starting"
    return Voice(name, "down", checkpoint.host, reason, checkpoint.problem)


async def checkpoint(gateway: Gateway) -> dict[str, Any] | None:
    """What the fine-tuned voices answer from: the manifest's words, and how the docs have moved on since."""
    published = gateway.checkpoint
    manifest = published.manifest if published else None
    if published is None or manifest is None:
        return None
    return {
        "name": published.folder.name if published.folder else "",
        "kind": manifest.kind,
        "base_model": manifest.base_model,
        "dataset": manifest.dataset,
        "dataset_sha256": manifest.dataset_sha256,
        "recipe": manifest.recipe,
        "step": manifest.step,
        "created_at": manifest.created.timestamp(),
        "problem": published.problem,
        "pages": await asyncio.to_thread(_drift, gateway, manifest),
    }


def _drift(gateway: Gateway, manifest: Manifest) -> dict[str, int] | None:
    if not manifest.pages:
        return None
    try:
        return drift(manifest.pages, gateway.live.retriever().page_hashes)
    except DocDuetError:
        return None
