"""[sft] in docduet.toml."""

from __future__ import annotations

from pydantic import Field

from data.settings import Table


class SftConfig(Table):
    """Building datasets."""

    mixture: str = Field("balanced", description="Shares of the shapes by tokens: a preset's name or a .yaml file.")
    max_length: int = Field(4096, ge=64, description="Longest conversation in tokens; the same as the trainer's.")
    tokenizer: str = Field(
        "", description="Folder with the model's tokenizer.json; empty: an estimate, said on the card."
    )
    rewrites: int = Field(2, ge=1, le=8, description="Questions asked about one fact, in different words.")
    val_share: float = Field(0.05, ge=0, lt=0.5, description="Share of the samples set aside for validation.")
    product: str = Field("", description="Named in questions about pages that carry no product label.")
