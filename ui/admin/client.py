"""What the panel asks of the gateway: /v1/admin, and the search with its reasons."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from data.types import Filters
from ui.client import Gateway

Body = dict[str, Any]
ROOT = "/v1/admin"


async def sources(gateway: Gateway) -> Body:
    return await gateway.request_json("GET", f"{ROOT}/sources")


async def sync(gateway: Gateway) -> Body:
    """Start one. RequestError 409 while one runs."""
    return await gateway.request_json("POST", f"{ROOT}/sync")


async def generations(gateway: Gateway) -> Body:
    return await gateway.request_json("GET", f"{ROOT}/generations")


async def rollback(gateway: Gateway, to: str) -> Body:
    return await gateway.request_json("POST", f"{ROOT}/rollback", {"to": to})


async def engines(gateway: Gateway) -> Body:
    return await gateway.request_json("GET", f"{ROOT}/engines")


async def voices(gateway: Gateway) -> Body:
    return await gateway.request_json("GET", f"{ROOT}/voices")


async def restart(gateway: Gateway, name: str) -> Body:
    return await gateway.request_json("POST", f"{ROOT}/engines/{quote(name, safe='')}/restart")


async def gaps(gateway: Gateway, days: int, limit: int) -> Body:
    return await gateway.request_json("GET", f"{ROOT}/gaps?{urlencode({'days': days, 'limit': limit})}")


async def gaps_csv(gateway: Gateway, days: int) -> str:
    query = urlencode({"days": days, "limit": 500, "format": "csv"})
    return await gateway.request_text(f"{ROOT}/gaps?{query}")


async def answer(gateway: Gateway, answer_id: str) -> Body:
    return await gateway.request_json("GET", f"{ROOT}/answers/{quote(answer_id, safe='')}")


async def pages(gateway: Gateway, words: str, limit: int, offset: int) -> Body:
    query = urlencode({"q": words, "limit": limit, "offset": offset})
    return await gateway.request_json("GET", f"{ROOT}/pages?{query}")


async def chunks(gateway: Gateway, page_id: str) -> Body:
    return await gateway.request_json("GET", f"{ROOT}/pages/{quote(page_id, safe='')}/chunks")


async def search(gateway: Gateway, query: str, top_k: int, filters: Filters) -> Body:
    """Passages, and what became of the question."""
    body = {"query": query, "top_k": top_k, "explain": True, "filters": vars(filters)}
    return await gateway.request_json("POST", "/v1/search", body)
