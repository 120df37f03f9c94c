"""What came of asking for general ability. Files DOCDUET_HOME/evals/general/*.json; stopped runs: unfinished/.

{"object": "eval_general", "label": "step 200", "started_at": "2026-11-26T05:00:00Z", "suite": "probes",
 "arms": {"base": {"arithmetic": {"score": 0.8, "of": 40, "right": 32}}},
 "differences": [{"before": "base", "after": "sft", "task": "all", "delta": -0.02, "low": -0.05, "high": 0.01,
                  "gained": 3, "lost": 7, "of": 216, "p": 0.34}],
 "answers": [{"id": "arithmetic-en-01", "task": "arithmetic", "arm": "base", "right": true, "answer": "5"}]}
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import ConfigError
from evals.alone import alone
from evals.general.paired import Difference, differences


class Answer(BaseModel):
    """One arm's answer to one item. ``id`` is unique in its task; ``lang``: of what was asked, where it is known."""

    model_config = ConfigDict(frozen=True)

    id: str
    task: str
    arm: str
    right: bool
    answer: str
    lang: str = ""


class Task(BaseModel):
    """``score``: the share of ``of`` items that is right."""

    model_config = ConfigDict(frozen=True)

    score: float = Field(ge=0, le=1)
    of: int = Field(ge=0)
    right: int = Field(ge=0)


class GeneralRun(BaseModel):
    """``asked``: what was asked how (arms, tasks, system messages, digest of the items): runs that agree on it compare,
    and one that was stopped goes on. ``models``: who answers for each arm, as far as the gateway tells."""

    model_config = ConfigDict(frozen=True)

    object: Literal["eval_general"] = "eval_general"
    label: str = ""
    started_at: str
    suite: Literal["probes", "evalscope"]
    finished: bool = False
    asked: dict[str, Any] = Field(default_factory=dict)
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    arms: dict[str, dict[str, Task]] = Field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    answers: tuple[Answer, ...] = ()

    @property
    def items(self) -> str:
        """What was asked how, whoever was asked: the scores of two runs compare where this is the same."""
        asked = {name: value for name, value in self.asked.items() if name not in ("arms", "seed", "concurrency")}
        return json.dumps(asked | {"suite": self.suite, "data": sorted(asked.get("data", ()))}, sort_keys=True)

    @property
    def key(self) -> str:
        """What makes it the same run when it is gone on with."""
        said = json.dumps([self.suite, self.label, self.asked, self.models], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.suite}-{self.started_at.replace(':', '')}-{self.key[:6]}.json"


Right = dict[str, dict[str, bool]]
"""Task -> item id -> whether it is right."""


def right_of(answers: Sequence[Answer]) -> dict[str, Right]:
    """Of each arm."""
    found: dict[str, Right] = {}
    for answer in answers:
        found.setdefault(answer.arm, {}).setdefault(answer.task, {})[answer.id] = answer.right
    return found


def scored(run: GeneralRun, answers: Sequence[Answer], arms: Sequence[str], finished: bool) -> GeneralRun:
    """The run with these answers, each task's score, and the first arm's difference to each other."""
    right: dict[str, Right] = {arm: {} for arm in arms} | right_of(answers)
    found = [each for arm in arms[1:] for each in differences(arms[0], arm, right)]
    tables = {arm: {task: _task(list(items.values())) for task, items in tasks.items()} for arm, tasks in right.items()}
    return run.model_copy(
        update={"answers": tuple(answers), "arms": tables, "differences": tuple(found), "finished": finished}
    )


def save(run: GeneralRun, folder: Path) -> Path:
    """Write it at once: below unfinished/ until it is finished."""
    draft = folder / "unfinished" / run.name
    path = folder / run.name if run.finished else draft
    draft.parent.mkdir(parents=True, exist_ok=True)
    partial = draft.with_suffix(".partial")
    partial.write_text(run.model_dump_json(indent=1), encoding="utf-8")
    os.replace(partial, path)
    if run.finished:
        draft.unlink(missing_ok=True)
    return path


@contextmanager
def going_on(run: GeneralRun, folder: Path, resume: bool) -> Iterator[GeneralRun]:
    """``run``, or with ``resume`` the same one that was stopped: nobody else runs it meanwhile. Raises BusyError."""
    busy = "the same items are being asked in another process: wait for it, or stop it"
    with alone(folder / "unfinished" / f"{run.key}.lock", busy):
        yield (_unfinished(run, folder) if resume else None) or run


def _unfinished(run: GeneralRun, folder: Path) -> GeneralRun | None:
    """The newest run that was stopped and that asked the same of the same models under the same label."""
    for path in sorted((folder / "unfinished").glob(f"{run.suite}-*.json"), reverse=True):
        try:
            found = GeneralRun.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if found.key == run.key:
            return found
    return None


def read_general(folder: Path) -> tuple[list[GeneralRun], list[str]]:
    """All finished runs in ``folder``, and what is wrong with the files that are none."""
    runs, problems = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            runs.append(read_general_run(path))
        except ConfigError as error:
            problems.append(str(error))
    return runs, problems


def read_general_run(path: Path) -> GeneralRun:
    """Raises ConfigError for a file that cannot be read or is none."""
    try:
        return GeneralRun.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path.name} is no general-ability result: {where}: {first['msg']}") from None


def _task(right: list[bool]) -> Task:
    return Task(score=sum(right) / len(right), of=len(right), right=sum(right))
