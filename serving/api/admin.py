"""The admin routes, /v1/admin: sources and syncs, generations, engines, voices, reload; admin_docs.py has the rest.

For principals of the role admin; everybody is one where the gateway asks for no keys.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from fastapi import APIRouter, Depends, Request

from data.errors import BusyError, ConfigError, EngineError, NoIndexError
from data.store import PageStore
from rag.generations import Generations
from serving.api import admin_schemas as out
from serving.errors import ApiError
from serving.gateway import Gateway, gateway_of
from serving.ops import voices
from serving.principal import principal_of
from serving.refresh import Refresher


def admin_only(request: Request) -> None:
    """ApiError 403 for everybody but administrators."""
    role = principal_of(request).role
    if role != "admin":
        raise ApiError(f"this needs a key of the role admin; yours has the role {role}", 403, "admins_only")


ERRORS: dict[int | str, dict[str, object]] = {code: {"model": out.ErrorOut} for code in (403, 404, 409)}
router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(admin_only)], responses=ERRORS)


@router.get("/sources", response_model=out.SourcesOut)
async def sources(request: Request) -> dict[str, object]:
    """Where pages come from: how many from each, when it was last synced, and the state of the gateway's own syncs."""
    gateway = gateway_of(request)
    refresher = _refresher(gateway)
    found = await asyncio.to_thread(PageStore(gateway.live.home.pages).sources)
    data = [{"source": s.source, "pages": s.pages, "changed_at": s.fetched_at, "synced_at": s.synced_at} for s in found]
    return {"data": data, "sync": await asyncio.to_thread(refresher.status)}


@router.post("/sync", response_model=out.SyncState, status_code=202)
async def sync(request: Request) -> dict[str, object]:
    """Start a `docduet sync` of the configured sources; `GET /v1/admin/sources` tells how it goes."""
    refresher = _refresher(gateway_of(request))
    try:
        refresher.start()
    except BusyError as error:
        raise ApiError(str(error), 409, "sync_running") from None
    return await asyncio.to_thread(refresher.status) | {"state": "running", "progress": None}


@router.get("/generations", response_model=out.GenerationsOut)
async def generations(request: Request) -> dict[str, object]:
    """The indexes that are kept, oldest first, and which one is live."""
    kept = _generations(gateway_of(request))

    def listed() -> list[dict[str, object]]:
        try:
            live = kept.current().name
        except NoIndexError:
            live = ""
        return [asdict(info) | {"live": info.id == live, "bytes": kept.size(info.id)} for info in kept.list()]

    return {"data": await asyncio.to_thread(listed)}


@router.post("/rollback", response_model=out.GenerationOut)
async def rollback(request: Request, body: out.RollbackIn | None = None) -> dict[str, object]:
    """Go back to an earlier index; questions are answered from it at once."""
    gateway = gateway_of(request)
    try:
        info = await asyncio.to_thread(_generations(gateway).rollback, body.to if body else "")
    except NoIndexError as error:
        raise ApiError(str(error), 404, "generation_not_found", "to") from None
    except BusyError as error:
        raise ApiError(str(error), 409, "index_busy") from None
    await asyncio.to_thread(gateway.live.retriever)
    return asdict(info) | {"live": True, "bytes": await asyncio.to_thread(_generations(gateway).size, info.id)}


@router.get("/engines", response_model=out.EnginesOut)
async def engines(request: Request) -> dict[str, object]:
    """The engines and their states."""
    gateway = gateway_of(request)
    problems = gateway.reloader.problems if gateway.reloader else {}
    data = []
    for state in gateway.supervisor.states():
        engine = gateway.supervisor.engine(state.name)
        active = engine.active if engine else 0
        data.append(asdict(state) | {"active": active, "problem": problems.get(state.name, "")})
    return {"data": data}


@router.post("/engines/{name}/restart", response_model=out.EngineOut, status_code=202)
async def restart(name: str, request: Request) -> dict[str, object]:
    """Restart an engine that DocDuet started, also one that it gave up; its answers under way break off."""
    gateway = gateway_of(request)
    known = [state.name for state in gateway.supervisor.states()]
    if name not in known:
        there = ", ".join(known) or "none"
        raise ApiError(f"there is no engine {name!r}; engines: {there}", 404, "engine_not_found", "name")
    try:
        await gateway.supervisor.restart(name)
    except EngineError as error:
        raise ApiError(str(error), 409, "engine_external") from None
    return asdict(gateway.supervisor.state(name)) | {"active": 0}


@router.get("/voices", response_model=out.VoicesOut)
async def known_voices(request: Request) -> dict[str, object]:
    """The voices: which engine writes for each, why one is missing, and the checkpoint of the fine-tuned ones."""
    gateway = gateway_of(request)
    data = [asdict(voice) for voice in await voices.voices(gateway)]
    return {"data": data, "checkpoint": await voices.checkpoint(gateway)}


@router.post("/reload", response_model=out.ReloadOut)
async def reload(request: Request) -> dict[str, object]:
    """Read docduet.toml again. What cannot change while the gateway runs is named; a wrong file changes nothing."""
    reloader = gateway_of(request).reloader
    if reloader is None:
        raise ApiError("this gateway was not started by `docduet serve`: it has no file to read", 409, "not_served")
    try:
        return asdict(await reloader.reload())
    except ConfigError as error:
        raise ApiError(f"the configuration stays as it was: {error}", 409, "config_invalid") from None
    except BusyError as error:
        raise ApiError(str(error), 409, "reload_running") from None


def _refresher(gateway: Gateway) -> Refresher:
    if gateway.refresher is None:
        raise ApiError("this gateway was not started by `docduet serve`: it syncs nothing", 409, "not_served")
    return gateway.refresher


def _generations(gateway: Gateway) -> Generations:
    return Generations(gateway.live.home.index, gateway.live.config.vector_store)
