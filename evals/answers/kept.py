"""Answers that are kept as they come, so that a run which was stopped goes on where it was.

DOCDUET_HOME/evals/unfinished/KEY.jsonl: a first line that says what is run, then one answer a line, synced to the disk.
A process that was killed while it wrote leaves half a line, which is left out. The file goes when the run is saved.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data.errors import ConfigError
from evals.alone import alone
from evals.answers.reply import Answer

FOLDER = "unfinished"
BUSY = "the same evaluation is under way in another process: wait for it, or stop it"


class Kept:
    """The answers of one run so far, by (question id, arm). Made by `keeping`."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.header = dict(header)
        self.answers: dict[tuple[str, str], Answer] = {}

    def add(self, answer: Answer) -> None:
        """Keep one more. It is on the disk when this returns."""
        self.answers[answer.id, answer.arm] = answer
        with self.path.open("a", encoding="utf-8") as sink:
            sink.write(answer.model_dump_json() + "\n")
            sink.flush()
            os.fsync(sink.fileno())

    def done(self) -> None:
        """The run is saved: nothing more is to be gone on with."""
        self.path.unlink(missing_ok=True)

    def load(self) -> None:
        """Take up what is there of the same run, or begin a new file. Raises ConfigError where another index or
        checkpoint answers by now."""
        there = self.path.read_bytes() if self.path.is_file() else b""
        lines = there.decode(errors="replace").split("\n") if there else []  # half a line may end in half a letter
        header = _header(lines[0]) if lines else None
        if header is None:
            self._begin()
            return
        if header["answered_by"] != self.header["answered_by"]:
            raise ConfigError(
                "another index or checkpoint answers by now than when this run was begun: give --fresh to begin anew"
            )
        self.header = header
        for line in lines[1:]:
            try:
                answer = Answer.model_validate_json(line)
            except ValidationError:
                continue  # half a line
            self.answers[answer.id, answer.arm] = answer
        self._begin()

    def _begin(self) -> None:
        """Write all there is, whole lines only."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.partial")
        lines = [json.dumps(self.header), *(answer.model_dump_json() for answer in self.answers.values())]
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        draft.replace(self.path)


@contextmanager
def keeping(folder: Path, asked: Mapping[str, Any], header: Mapping[str, Any], resume: bool) -> Iterator[Kept]:
    """The answers kept of the run that ``asked`` describes, below ``folder``. ``header``: what a new one is begun with;
    ``answered_by`` must stay the same. Raises BusyError while another process runs it."""
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    kept = Kept(folder / FOLDER / f"{name}.jsonl", header)
    with alone(kept.path.with_suffix(".lock"), BUSY):
        if not resume:
            kept.done()
        kept.load()
        yield kept


def _header(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "answered_by" in found else None
