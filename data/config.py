"""[data] in docduet.toml."""

from __future__ import annotations

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
