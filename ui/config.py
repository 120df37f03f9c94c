"""[ui] in docduet.toml."""

from __future__ import annotations

from pydantic import Field

from data.settings import Table


class UiConfig(Table):
    """The Gradio app."""

    title: str = Field("DocDuet", description="Title in the browser.")
    examples: tuple[str, ...] = Field(
        (), description="Example questions; default: in the demo some that the handbook answers."
    )
