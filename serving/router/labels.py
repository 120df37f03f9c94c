"""What a router learns from: questions, and which voices answered each of them well.

A label file is JSON lines, one question each:

    {"question": "How do I change the port?", "lang": "en", "arms": {"rag": 1, "sft": 0}}

An evaluation run (`docduet eval run`, evals/runs.py; its name ends in .json) is read as labels, too.

``arms`` holds 1 (answered well) or 0 for each voice that was judged; a refusal of what the docs do not hold is a good
answer. More keys: ``lang`` (else detected), ``history`` (earlier messages), ``features`` (as measured when the question
was asked; else they are measured on today's index). What people voted comes in the same shape (votes.py).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data.errors import ConfigError
from data.feedback import Turn as Earlier
from data.lang import detect_lang
from data.prompts import Message
from evals.runs import EvalRun, read_run
from serving.router.decide import ARMS
from serving.router.features import check_names

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Label(BaseModel):
    """One question and how each voice did. ``features``: empty where they are still to be measured; ``simulated``: made
    up, and so is every router that learned from it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    question: str = Field(min_length=1)
    arms: Mapping[str, bool] = Field(min_length=1)
    lang: str = ""
    history: tuple[Earlier, ...] = ()
    features: Mapping[str, Finite] = Field(default_factory=dict)
    simulated: bool = False

    @field_validator("arms")
    @classmethod
    def _voices(cls, arms: Mapping[str, bool]) -> Mapping[str, bool]:
        unknown = sorted(arms.keys() - set(ARMS))
        if unknown:
            raise ValueError(f"unknown voice {unknown[0]!r}; there are: {', '.join(ARMS)}")
        return arms

    @field_validator("features")
    @classmethod
    def _known(cls, features: Mapping[str, float]) -> Mapping[str, float]:
        return check_names(features)

    @property
    def language(self) -> str:
        return self.lang or detect_lang(self.question)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation before the question."""
        return tuple(Message(role=turn.role, content=turn.content) for turn in self.history)

    @property
    def held_out(self) -> bool:
        """Whether no router is ever fitted on this question: one in five, the same ones each time, so that routers
        fitted at different times can be compared on what neither has seen."""
        return zlib.crc32(" ".join(self.question.lower().split()).encode()) % 5 == 0


EXAMPLE = '{"question": "How do I change the port?", "arms": {"rag": 1, "sft": 0}}'


def read_labels(path: Path) -> list[Label]:
    """Raises ConfigError that names the line."""
    if path.suffix == ".json":
        return labels_of_run(read_run(path))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"the labels in {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the labels in {path} cannot be read: the file is not UTF-8 text") from None
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    return [_label(line, f"{path}: line {number}") for number, line in numbered]


def labels_of_run(run: EvalRun) -> list[Label]:
    """What an evaluation run says of each question: which voices answered it well (Result.answered_well)."""
    found: dict[str, Label] = {}
    for result in run.results:
        well = result.answered_well
        if well is None or result.arm not in ARMS or not result.question:
            continue
        before = found.get(result.id) or Label.model_construct(
            question=result.question, arms={}, lang=result.lang, history=result.history, features={}, simulated=False
        )
        found[result.id] = before.model_copy(update={"arms": {**before.arms, result.arm: well}})
    return list(found.values())


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """As `read_labels` reads them. Raises ConfigError."""
    body = "".join(json.dumps(label.model_dump(), ensure_ascii=False) + "\n" for label in labels)
    try:
        path.write_text(body, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the labels cannot be written to {path}: {error}") from None


def once_each(labels: Iterable[Label]) -> list[Label]:
    """One label a question and conversation, the last that judged a voice counting."""
    found: dict[tuple[str, str], Label] = {}
    for label in labels:
        key = (label.question.strip(), json.dumps(label.messages))
        before = found.get(key)
        found[key] = label.model_copy(update={"arms": {**before.arms, **label.arms}}) if before else label
    return list(found.values())


def _label(line: str, where: str) -> Label:
    try:
        return Label.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        field = ".".join(map(str, first["loc"])) or "line"
        raise ConfigError(f"{where}: {field}: {said}; a line looks like {EXAMPLE}") from None
