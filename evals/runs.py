"""Evaluation runs: what each arm made of each question of a set. Files DOCDUET_HOME/evals/*.json.

    {"object": "eval_run", "set": "handbook", "started_at": "2026-11-26T05:00:00Z", "results": [
      {"id": "q1", "question": "...", "lang": "en", "topic": "ports", "answerable": true, "arm": "rag",
       "facts_recalled": 0.5, "citation_precision": 1.0, "citation_recall": 1.0, "faithful": 1.0, "refused": false,
       "latency_ms": 812.0, "tokens": 64, "length": 240}]}

A measure that was not taken is null or left out. The files are untrusted: whatever does not fit is told, never guessed.
`docduet eval run` writes them (evals/answers).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import ConfigError
from data.feedback import Turn

Measure = Annotated[float, Field(ge=0, le=1)] | None

WELL = 0.5
"""Share of the facts from which on a question counts as answered well."""


class Result(BaseModel):
    """One arm's answer to one question. Measures are shares.

    ``completeness``: of questions whose facts are steps, those in the right order. ``first_ms``, ``latency_ms``: to the
    first word, and to the end. ``length``, ``reference_length``: characters without markers and white space.
    ``degraded``: why no model wrote it. ``sources``: urls of the pages cited. ``missing``: facts it does not state.
    ``chrf``: likeness to the reference. ``judge``: sentences that a judge model finds in the pages. ``history``: the
    conversation before the question. ``failed``: what the gateway said where it gave no whole answer.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    arm: str
    question: str = ""
    lang: str = ""
    topic: str = ""
    kind: str = ""
    answerable: bool | None = None
    facts_recalled: Measure = None
    completeness: Measure = None
    citation_precision: Measure = None
    citation_recall: Measure = None
    faithful: Measure = None
    chrf: Measure = None
    judge: Measure = None
    refused: bool = False
    degenerate: Literal["", "loop", "unfinished", "empty"] = ""
    degraded: str = ""
    failed: str = ""
    first_ms: float | None = Field(None, ge=0)
    latency_ms: float | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)
    length: int | None = Field(None, ge=0)
    reference_length: int | None = Field(None, ge=0)
    answer: str = ""
    sources: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    history: tuple[Turn, ...] = ()

    @property
    def answered_well(self) -> bool | None:
        """Refused what the docs do not hold, or stated at least half of the facts in a whole answer; None: unknown."""
        if self.answerable is False:
            return self.refused
        if self.answerable is None or self.facts_recalled is None:
            return None
        return not self.refused and not self.degenerate and self.facts_recalled >= WELL

    @property
    def lengths(self) -> tuple[int, int] | None:
        """Characters of the answer and of the reference, where an answer was due and given; None elsewhere."""
        due = self.answerable is not False and not self.refused and not self.failed
        return (
            (self.length, self.reference_length) if due and self.length is not None and self.reference_length else None
        )


class Arm(BaseModel):
    """Who answered for an arm; "" where the gateway does not tell. ``model``: the engine that wrote."""

    model_config = ConfigDict(frozen=True)

    model: str = ""
    checkpoint: str = ""
    checkpoint_step: int | None = None
    dataset_sha256: str = ""
    base_model: str = ""


class EvalRun(BaseModel):
    """A set of questions asked of one or more arms. ``started_at``: ISO 8601. ``file``: where it was read from.

    ``label``: what a scorecard calls it. ``generation``: the index that was answered from. ``finished``: every question
    was asked. ``concurrency``: answers under way at once. ``gateway``: its address. ``judge``: the model
    that judged it.
    """

    model_config = ConfigDict(frozen=True)

    object: Literal["eval_run"]
    set: str
    started_at: str = ""
    results: tuple[Result, ...]
    file: str = ""
    set_sha256: str = ""
    label: str = ""
    arms: Mapping[str, Arm] = Field(default_factory=dict)
    generation: str = ""
    seed: int = 0
    versions: Mapping[str, str] = Field(default_factory=dict)
    finished: bool = True
    concurrency: int | None = None
    gateway: str = ""
    judge: str = ""


def write_run(folder: Path, name: str, run: EvalRun) -> Path:
    """Save a run at once under ``name``, or with a number behind it where that is taken. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    number = 2
    while path.exists():
        path, number = folder / f"{name}-{number}.json", number + 1
    rewrite_run(path, run)
    return path


def rewrite_run(path: Path, run: EvalRun) -> None:
    """Save a run in the place of what is there. Raises OSError."""
    write_whole(path, run.model_dump_json(indent=1, exclude={"file"}))


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole, on the disk, or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.partial")
    with draft.open("w", encoding="utf-8") as sink:
        sink.write(text)
        sink.flush()
        os.fsync(sink.fileno())
    draft.replace(path)


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
