"""[data] in docduet.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data.settings import Table


class DataConfig(Table):
    """Reading documents into the page store."""

    base_url: str = Field(
        "", description="Put before a page's path to make its public URL, for docs that are also online."
    )
    product: str = Field("", description="Product label given to every page of the next sync.")
    version: str = Field("", description="Version label given to every page of the next sync.")
    max_file_mb: float = Field(50.0, gt=0, description="Files larger than this are skipped, with a message (MB).")

    include: tuple[str, ...] = Field(
        (), description="Web: only addresses whose path matches one of these, such as /docs/ or /*/guide/*."
    )
    exclude: tuple[str, ...] = Field((), description="Web: no addresses whose path matches one of these.")
    max_pages: int = Field(10_000, ge=1, description="Web: addresses visited in one sync of a site, at most.")
    depth: int = Field(20, ge=0, description="Web: links followed away from the start page or a sitemap entry.")
    llms: Literal["auto", "off", "full"] = Field(
        "auto",
        description="Web: use the pages that llms.txt lists (auto), ignore it (off), or read llms-full.txt only.",
    )
    requests_per_second: float = Field(5.0, gt=0, description="Web: requests to a site in a second, at most.")
    concurrency: int = Field(4, ge=1, le=64, description="Web: requests to a site at the same time, at most.")
    request_timeout_s: float = Field(30.0, gt=0, description="Web: one request, its text included (seconds).")
    retries: int = Field(
        3, ge=0, le=10, description="Web: tries after one that failed for a while (5xx, 429, silence)."
    )
    grace_syncs: int = Field(2, ge=1, description="Web: syncs in a row that must miss a page before it is removed.")
    max_loss: float = Field(
        0.2, gt=0, le=1, description="Web: share of a site's pages whose loss in one sync must be confirmed (--prune)."
    )
    allow_hosts: tuple[str, ...] = Field(
        (), description="Web: private hosts or other ports that may be fetched, as HOST or HOST:PORT, exactly."
    )
