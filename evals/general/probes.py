"""The probes that ship: probes/TASK.jsonl, one a line, in English and Chinese, with the checks of an answer.

    {"id": "arithmetic-en-01", "lang": "en", "prompt": "What is 2 + 3? ...", "max_tokens": 48,
     "checks": [{"check": "number", "value": 5}], "right": ["5"], "wrong": ["6"]}

``right`` and ``wrong``: answers that must pass and fail; the tests hold every probe against them. Half of the tasks are
for any model (arithmetic to code), the others easy enough for one of 20 million parameters to get some right: sequence,
copying, comparison, odd-one-out, phrases, grammar. Nothing in them is about DocDuet or its docs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import ConfigError
from evals.general.checks import Check

FOLDER = Path(__file__).with_name("probes")


class Probe(BaseModel):
    """One thing to ask. ``task``: the name of its file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    lang: str
    prompt: str = Field(min_length=1)
    checks: tuple[Check, ...] = Field(min_length=1)
    max_tokens: int = Field(64, gt=0)
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    task: str = ""

    def passes(self, answer: str) -> bool:
        """Whether ``answer`` passes every check. Where it repeats the prompt, what is left must."""
        said = answer.replace(self.prompt, "").strip()
        return bool(said) and all(check.passes(said) for check in self.checks)


def load_probes(tasks: Sequence[str] = (), limit: int = 0, folder: Path = FOLDER) -> list[Probe]:
    """The probes of ``tasks`` (all when none is named), at most ``limit`` of each, both languages in turn. Raises
    ConfigError for an unknown task and a file that is broken."""
    known = sorted(path.stem for path in folder.glob("*.jsonl"))
    unknown = [task for task in tasks if task not in known]
    if unknown:
        raise ConfigError(f"there are no probes {unknown[0]!r}; there are: {', '.join(known)}")
    found = []
    for task in known:
        if not tasks or task in tasks:
            probes = _alternating(_read(folder / f"{task}.jsonl"))
            found += probes[:limit] if limit else probes
    return found


def digest(probes: Sequence[Probe]) -> str:
    """SHA-256 of what is asked and how it is judged: runs over other probes are not compared."""
    return hashlib.sha256("\n".join(probe.model_dump_json() for probe in probes).encode()).hexdigest()


def _read(path: Path) -> list[Probe]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(Probe.model_validate_json(line).model_copy(update={"task": path.stem}))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise ConfigError(f"{path.name}: probe {number}: {where}: {first['msg']}") from None
    return found


def _alternating(probes: Sequence[Probe]) -> list[Probe]:
    """Both languages in turn, so that the first few of a task hold each."""
    ranks: dict[str, int] = {}
    placed = []
    for probe in probes:
        ranks[probe.lang] = ranks.get(probe.lang, 0) + 1
        placed.append((ranks[probe.lang], probe.lang, probe))
    return [probe for _, _, probe in sorted(placed, key=lambda place: place[:2])]
