"""The routes beside chat: models, search, stored pages, health and metrics."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from data.types import Filters
from rag import labels
from rag.retriever import HybridRetriever
from rag.stages import stage, watched
from rag.types import Passage
from serving.api.admin import admin_only
from serving.api.models import LabelList, Me, Model, ModelList, SearchResults, answers
from serving.api.pageview import POLICY, gone_html, page_html
from serving.api.schemas import SearchRequest
from serving.errors import ApiError
from serving.gateway import gateway_of
from serving.ops.readiness import readiness
from serving.principal import ANONYMOUS, principal_of

api = APIRouter(prefix="/v1")
pages = APIRouter()
operations = APIRouter(tags=["operations"])


@api.get("/models", tags=["chat"], response_model=None, responses=answers(ModelList))
async def models(request: Request) -> dict[str, Any]:
    """The voices that can be asked for, as OpenAI models."""
    gateway = gateway_of(request)
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "docduet"} for name in gateway.models]
    return {"object": "list", "data": data}


@api.get("/models/{name}", tags=["chat"], response_model=None, responses=answers(Model))
async def model(name: str, request: Request) -> dict[str, Any]:
    """One voice."""
    gateway = gateway_of(request)
    if name not in gateway.models:
        gateway.arm(name)
    return {"id": name, "object": "model", "created": 0, "owned_by": "docduet"}


@api.get("/me", tags=["access"], response_model=None, responses=answers(Me))
async def me(request: Request) -> dict[str, str]:
    """Who asks: the user that conversations and votes belong to, what to call them, and what they may do."""
    asks = principal_of(request)
    return {"object": "user", "user": asks.user, "name": asks.name, "role": asks.role, "sign_in": asks.sign_in}


@api.post("/search", tags=["search"], response_model=None, responses=answers(SearchResults))
async def search(body: SearchRequest, request: Request) -> dict[str, Any]:
    """Passages only, best first, with the reasons why they matched."""
    gateway = gateway_of(request)
    query = body.query.strip()
    if not query:
        raise ApiError("the query is empty", 400, "empty_query", "query")
    if len(query) > gateway.config.max_question_chars:
        limit = gateway.config.max_question_chars
        raise ApiError(f"the query is longer than {limit:,} characters", 400, "query_too_long", "query")
    retriever = await asyncio.to_thread(gateway.live.retriever)
    filters = body.filters.to_filters()
    labels.check(retriever.labels, filters)
    if body.explain:
        admin_only(request)
        found, explained = await asyncio.to_thread(_explained, retriever, query, body.top_k, filters)
    else:
        found, explained = await asyncio.to_thread(retriever.search, query, body.top_k, filters), {}
    wanted = ("url", "title", "heading_path", "text", "score", "rank", "page_id", "product", "version", "lang")
    data = [{key: getattr(passage, key) for key in wanted} | {"why": asdict(passage.why)} for passage in found]
    return {"object": "list", "data": data} | ({"explain": explained} if explained else {})


def _explained(
    retriever: HybridRetriever, query: str, top_k: int | None, filters: Filters
) -> tuple[list[Passage], dict[str, Any]]:
    """The passages, and what became of the question on the way."""
    begun = time.perf_counter()
    with watched() as spent:
        passages = retriever.search(query, top_k, filters)
        with stage("judge"):
            verdict = retriever.answerability(query, passages)
    spent["total"] = time.perf_counter() - begun
    told = {
        "answerable": verdict.answerable,
        "score": verdict.score,
        "reason": verdict.reason,
        "threshold": retriever.config.refuse_below,
        "timings_ms": {name: round(1000 * seconds, 2) for name, seconds in spent.items()},
        "generation": retriever.info.id,
        "embedder": retriever.info.embedder,
        "reranker": retriever.reranker,
    }
    return passages, told


@api.get("/labels", tags=["search"], response_model=None, responses=answers(LabelList))
async def known_labels(request: Request) -> dict[str, Any]:
    """What answers and searches can be filtered by: each value, and each combination with its number of pages."""
    retriever = await asyncio.to_thread(gateway_of(request).live.retriever)
    known = await asyncio.to_thread(lambda: retriever.labels)
    values = {name: labels.values(known, name) for name in labels.NAMES}
    data = [asdict(entry) for entry in known]
    return {"object": "list", "data": data, "values": values, "generation": retriever.info.id}


@pages.get("/pages/{page_id}", response_class=HTMLResponse, tags=["pages"])
async def page(page_id: str, request: Request, quote: str = "") -> HTMLResponse:
    """A stored page with the quote highlighted: where citations of folder sources lead."""
    retriever = await asyncio.to_thread(gateway_of(request).live.retriever)
    stored = await asyncio.to_thread(retriever.page, page_id)
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    if stored is None and "text/html" in request.headers.get("accept", ""):  # a person, who has followed a citation
        return HTMLResponse(gone_html(request.headers.get("accept-language", "")), 404, headers)
    if stored is None:
        raise ApiError("no such page in the current index: it may have been removed", 404, "page_not_found", "page_id")
    return HTMLResponse(await asyncio.to_thread(page_html, stored, quote[:4000]), headers=headers)


@operations.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@operations.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Which part is up: 200 when questions can be answered, 503 when not; ``down`` names what is not up, and why."""
    body = await readiness(gateway_of(request))
    status = 200 if body["ready"] else 503
    return JSONResponse({"ready": body["ready"]} if principal_of(request) is ANONYMOUS else body, status)


@operations.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text format."""
    from prometheus_client import CONTENT_TYPE_LATEST

    gateway = gateway_of(request)
    supervisor = gateway.supervisor
    ready = {state.name: supervisor.engine(state.name) is not None for state in supervisor.states()}
    if gateway.refresher and (last := gateway.refresher.last):
        gateway.metrics.refreshed(last)
    return Response(gateway.metrics.scraped(ready, gateway.admission.slots.waiting), media_type=CONTENT_TYPE_LATEST)
