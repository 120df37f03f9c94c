"""[data] in docduet.toml."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from data import labels
from data.settings import Table

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class LabelRule(Table):
    """One [[data.labels]]: pages whose path matches get these labels (data/labels.py)."""

    match: str = Field("", description="Glob on the page's path, or on its URL where it holds ://.")
    product: str = Field("", description="Product label; default: {product} of match.")
    version: str = Field("", description="Version label; default: {version} of match.")
    lang: str = Field("", description="Language, such as zh, in place of the detected one; default: {lang} of match.")

    @model_validator(mode="after")
    def _says_something(self) -> LabelRule:
        if not self.match:
            raise ValueError('a rule needs match, such as match = "{product}/{version}/**"')
        if not (self.product or self.version or self.lang or labels.captured(self.match)):
            raise ValueError(f"the rule for {self.match!r} sets no label: give it product, version or lang")
        return self


class DataConfig(Table):
    """Reading documents into the page store."""

    base_url: str = Field(
        "", description="Put before a page's path to make its public URL, for docs that are also online."
    )
    product: str = Field("", description="Product label given to every page of the next sync.")
    version: str = Field("", description="Version label given to every page of the next sync.")
    labels: tuple[LabelRule, ...] = Field((), description="Rules that label pages by their path; a later one wins.")
    sources: tuple[str, ...] = Field((), description="What `docduet sync` without arguments and the refresh read.")
    refresh: str = Field("", description="How often a running gateway syncs the sources, such as 6h; never if empty.")
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

    @field_validator("refresh")
    @classmethod
    def _duration(cls, value: str) -> str:
        if value and not (re.fullmatch(r"\d+(\.\d+)?[smhd]", value) and float(value[:-1]) > 0):
            raise ValueError("a time such as 30m, 6h or 1d is needed, or nothing for never")
        return value

    @property
    def refresh_s(self) -> float:
        """``refresh`` in seconds; 0.0 for never."""
        return float(self.refresh[:-1]) * _UNITS[self.refresh[-1]] if self.refresh else 0.0
