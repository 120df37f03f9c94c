"""What /readyz says: whether questions can be answered, the state of every part, and which are down and why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from data.checkpoints import is_demo
from data.errors import DocDuetError
from serving.arms.verify import drift
from serving.ops.drain import STOPPING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from serving.gateway import Gateway

_DOWN = ("unreachable", "starting", "restarting", "failed")
PING_S = 5.0


async def readiness(gateway: Gateway) -> dict[str, Any]:
    """``ready``: questions are answered, perhaps by quoting. ``down``: [{"part", "reason"}], those that do not stop
    answering included."""
    index, engines = await asyncio.to_thread(_index, gateway), _engines(gateway)
    refresh = await asyncio.to_thread(gateway.refresher.status) if gateway.refresher else {"state": "off"}
    checkpoint = gateway.checkpoint.status() if gateway.checkpoint else {"state": "off"}
    checkpoint |= await asyncio.to_thread(_drift, gateway)
    parts = {"index": index, "engines": engines, "store": await _store(gateway), "refresh": refresh}
    parts["checkpoint"] = checkpoint
    ready = "error" not in index and not gateway.drain.begun
    return {"ready": ready, "mode": gateway.mode, "down": _down(parts, gateway.drain.begun), "parts": parts}


def _down(parts: dict[str, Any], stopping: bool) -> list[dict[str, str]]:
    found = [("gateway", STOPPING)] if stopping else []
    found += [(name, part["error"]) for name, part in parts.items() if name != "engines" and part.get("error")]
    if parts["index"].get("vectors") == "unreachable":
        found.append(("vectors", "the vector database does not answer: passages are found by their words alone"))
    for name, engine in parts["engines"].items():
        if engine["state"] in _DOWN:
            found.append((f"engines.{name}", f"{engine['state']}: {engine['detail']}"))
    last = parts["refresh"].get("last")
    if last and last["error"]:
        found.append(("refresh", last["error"]))
    if parts["checkpoint"].get("problem"):
        found.append(("checkpoint", parts["checkpoint"]["problem"]))
    return [{"part": part, "reason": reason} for part, reason in found]


def _index(gateway: Gateway) -> dict[str, Any]:
    try:
        retriever = gateway.live.retriever()
    except DocDuetError as error:
        return {"error": str(error)}
    info = retriever.info
    return {
        "generation": info.id,
        "pages": info.pages,
        "chunks": info.chunks,
        "vectors": "unreachable" if retriever.by_words_alone else "ready",
        "embedder": info.embedder,
        "created_at": info.created_at,
    }


def _drift(gateway: Gateway) -> dict[str, Any]:
    """How many pages the model was trained on, how many of them have changed or gone since, and whether it is the
    demonstration's."""
    manifest = gateway.checkpoint.manifest if gateway.checkpoint else None
    if manifest is None:
        return {}
    told: dict[str, Any] = {"demo": True} if is_demo(manifest.base_model) else {}
    try:
        return told | ({"pages": drift(manifest.pages, gateway.live.retriever().page_hashes)} if manifest.pages else {})
    except DocDuetError:
        return told


def _engines(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """Each engine's state. ``demo``: it is the demonstration's model."""
    demo = {engine.name for engine in gateway.config.engines if is_demo(engine.model) or is_demo(engine.served_model)}
    return {
        state.name: {"state": state.state, "detail": state.detail} | ({"demo": True} if state.name in demo else {})
        for state in gateway.supervisor.states()
    }


async def _store(gateway: Gateway) -> dict[str, Any]:
    """Answers come without it; what is said waits to be written, and is lost in the end."""
    problem = gateway.recorder.problem
    try:
        async with asyncio.timeout(PING_S):
            await gateway.store.run(_ping, writes=False)
    except TimeoutError:
        problem = f"the database does not answer within {PING_S:g} s"
    except DocDuetError as error:
        problem = str(error)
    found = {"state": "failing" if problem else "ready", "queued": gateway.recorder.queued}
    return found | ({"error": problem} if problem else {})


def _ping(db: Session) -> None:
    from sqlalchemy import text

    db.execute(text("SELECT 1"))
