"""Evaluation runs: what each arm made of each question of a set. Files DOCDUET_HOME/evals/*.json.

    {"object": "eval_run", "set": "handbook", "started_at": "2026-11-26T05:00:00Z", "results": [
      {"id": "q1", "question": "...", "lang": "en", "topic": "ports", "answerable": true, "arm": "rag",
       "facts_recalled": 0.5, "citation_precision": 1.0, "citation_recall": 1.0, "faithful": 1.0, "refused": false,
       "latency_ms": 812.0, "tokens": 64, "length": 240}]}

A measure that was not taken is null or left out. The files are untrusted: whatever does not fit is told, never guessed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import ConfigError

Measure = Annotated[float, Field(ge=0, le=1)] | None


class Result(BaseModel):
    """One arm's answer to one question. Measures are shares; ``latency_ms``: to the end of the answer."""

    model_config = ConfigDict(frozen=True)

    id: str
    arm: str
    question: str = ""
    lang: str = ""
    topic: str = ""
    answerable: bool | None = None
    facts_recalled: Measure = None
    citation_precision: Measure = None
    citation_recall: Measure = None
    faithful: Measure = None
    refused: bool = False
    latency_ms: float | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)
    length: int | None = Field(None, ge=0)


class EvalRun(BaseModel):
    """A set of questions asked of one or more arms. ``started_at``: ISO 8601. ``file``: where it was read from."""

    model_config = ConfigDict(frozen=True)

    object: Literal["eval_run"]
    set: str
    started_at: str = ""
    results: tuple[Result, ...]
    file: str = ""


def read_run(path: Path) -> EvalRun:
    """Raises ConfigError for a file that cannot be read or is no run; it says where it is wrong."""
    try:
        run = EvalRun.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the evaluation run {path.name} cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path.name} is no evaluation run: {where}: {first['msg']}") from None
    return run.model_copy(update={"file": path.name})


def read_runs(folder: Path) -> tuple[list[EvalRun], list[str]]:
    """All runs in ``folder``, the newest first, and what is wrong with the files that are none."""
    runs, problems = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            runs.append(read_run(path))
        except ConfigError as error:
            problems.append(str(error))
    return sorted(runs, key=lambda run: (run.started_at, run.file), reverse=True), problems
