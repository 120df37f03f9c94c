"""What the browser asks of the panel: untrusted, so read with care. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from data.types import Filters
from ui.i18n import Words, choose

Section = Literal["sources", "indexes", "engines", "gaps", "chunks", "search"]
SECTIONS: tuple[Section, ...] = ("sources", "indexes", "engines", "gaps", "chunks", "search")
DAYS = (7, 30, 90)
Short = Annotated[str, StringConstraints(max_length=300)]


class Asked(BaseModel):
    """One request. ``seq``: its number, which comes back; ``target``: a page, an answer, an index or an engine.

    ``action``: what to do before looking; ``q``: what is searched for.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    seq: int = 0
    lang: Short = "en"
    section: Section = "sources"
    action: Literal["look", "sync", "rollback", "restart", "csv"] = "look"
    target: Short = ""
    days: Literal[7, 30, 90] = 30
    q: Annotated[str, StringConstraints(max_length=2000)] = ""
    offset: int = Field(0, ge=0, le=10_000_000)
    top_k: int = Field(8, ge=1, le=50)
    product: Short = ""
    version: Short = ""
    doc_lang: Short = ""

    @property
    def words(self) -> Words:
        return Words(choose("", self.lang))

    @property
    def filters(self) -> Filters:
        return Filters(product=self.product, version=self.version, lang=self.doc_lang)


def read(data: Any) -> Asked:
    """What was asked; where that makes no sense, what is left of it that does."""
    given = data if isinstance(data, dict) else {}
    try:
        return Asked.model_validate(given)
    except ValidationError as error:
        wrong = {str(entry["loc"][0]) for entry in error.errors() if entry["loc"]}
        return Asked.model_validate({name: value for name, value in given.items() if name not in wrong})
