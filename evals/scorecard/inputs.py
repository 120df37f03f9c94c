"""Which files a scorecard is made of: evaluation runs and general-ability results, by path, file name or label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import ConfigError
from data.home import Home
from evals.general.results import GeneralRun, read_general, read_general_run
from evals.runs import EvalRun, read_run, read_runs


@dataclass(frozen=True)
class Found:
    """``runs``: the oldest first, or in the order in which they were named."""

    runs: tuple[EvalRun, ...]
    general: tuple[GeneralRun, ...]
    problems: tuple[str, ...] = ()


def find(names: Sequence[str], home: Home) -> Found:
    """``names``: of runs and general-ability files; none: the newest run. Raises ConfigError."""
    kept, problems = read_runs(home.evals)
    general, wrong = read_general(home.evals / "general")
    if not names:
        if not kept:
            raise ConfigError(f"there is no evaluation run in {home.evals}: make one with `docduet eval run`")
        return Found((kept[0],), tuple(general), (*problems, *wrong))
    runs = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_file() and _object(path) == "eval_general":
            general.append(read_general_run(path))
        else:
            runs.append(one_run(name, home, kept))
    if not runs:
        raise ConfigError(f"{', '.join(names)}: name an evaluation run beside general-ability results")
    return Found(tuple(runs), tuple(general), tuple(wrong))


def one_run(name: str, home: Home, kept: Sequence[EvalRun] | None = None) -> EvalRun:
    """The run in the file ``name``, or that file in DOCDUET_HOME/evals, or the newest of that label."""
    for path in (Path(name).expanduser(), home.evals / name, home.evals / f"{name}.json"):
        if path.is_file():
            return read_run(path)
    runs = read_runs(home.evals)[0] if kept is None else kept
    found = next((run for run in runs if run.label == name), None)
    if found is None:
        there = ", ".join(run.label or run.file for run in runs[:8]) or "none yet; make one with `docduet eval run`"
        raise ConfigError(f"no evaluation run {name!r}: give a file, or one in {home.evals}: {there}")
    return found


def _object(path: Path) -> str:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    return str(body.get("object", "")) if isinstance(body, dict) else ""
