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
    paraphrases: int = Field(
        1, ge=0, le=8, description="Other wordings of each question that the rules write, with the same answer."
    )
    teacher: str = Field("", description="Address of a teacher, an OpenAI-compatible server; empty: the rules write.")
    teacher_model: str = Field("", description="The teacher's model; empty: the only one that it has.")
    teacher_key_env: str = Field("", description="Environment variable that holds the teacher's key.")
    teacher_timeout_s: float = Field(300.0, gt=0, description="One answer of the teacher takes at most this long (s).")
    concurrency: int = Field(32, ge=1, le=1024, description="Calls to the teacher at the same time.")
    think_share: float = Field(0.0, ge=0, le=1, description="Share of the teacher's answers that think first.")
    judge: bool = Field(True, description="Ask the teacher whether each of its answers is supported by the page.")
    val_share: float = Field(
        0.05, ge=0, le=0.5, description="Share of the samples set aside for validation; 0: every page is learned."
    )
    product: str = Field("", description="Named in questions about pages that carry no product label.")
