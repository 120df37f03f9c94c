"""The report as the gateway gives it: bytes in one of its formats."""

from __future__ import annotations

from collections.abc import Mapping

from ui.client import Gateway

ADDRESS = "/v1/report"


async def report(gateway: Gateway, format: str, since: str, words: str) -> bytes:
    """``since``: "" or such as ``30d``; ``words``: its language. Raises GatewayError."""
    query: Mapping[str, str] = {"format": format, "since": since, "words": words}
    return await gateway.content(ADDRESS, query)
