"""Ask arms all probes, some at a time, keeping what has been answered: a run that was stopped goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evals.general.asking import Asking
from evals.general.probes import Probe, digest
from evals.general.results import Answer, GeneralRun, going_on, save, scored

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how much."""

KEEP_EVERY = 10
"""Answers lost at most when the process is killed."""


def begin(
    suite: str, label: str, asked: dict[str, object], models: dict[str, dict[str, Any]], **versions: str
) -> GeneralRun:
    """A run that has not asked anything yet."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    told = {"docduet": version("docduet"), **versions}
    fields = {"suite": suite, "label": label, "started_at": now, "asked": asked, "models": models, "versions": told}
    return GeneralRun.model_validate(fields)


async def run_probes(
    asking: Asking,
    probes: Sequence[Probe],
    arms: Sequence[str],
    folder: Path,
    models: dict[str, dict[str, Any]],
    label: str = "",
    asked: dict[str, object] | None = None,
    concurrency: int = 4,
    resume: bool = True,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[GeneralRun, Path]:
    """The finished run and its file in ``folder``. ``models``: who answers; ``asked``: how, beside
    arms and probes.

    Raises GatewayError when the gateway gives up (what was answered is kept), BusyError while another process asks.
    """
    how = {"arms": list(arms), "items_sha256": digest(probes), **(asked or {})}
    with going_on(begin("probes", label, how, models), folder, resume) as run:
        collected = _Collected(run, list(run.answers), tuple(arms), folder, len(probes) * len(arms), progress)
        have = {(answer.arm, answer.id) for answer in run.answers}
        todo = [(probe, arm) for probe in probes for arm in arms if (arm, probe.id) not in have]
        try:
            await _ask(asking, todo, collected, concurrency)
        finally:
            collected.keep()
        return collected.finish()


async def _ask(asking: Asking, todo: Sequence[tuple[Probe, str]], collected: _Collected, concurrency: int) -> None:
    slots = asyncio.Semaphore(concurrency)

    async def ask(probe: Probe, arm: str) -> None:
        async with slots:
            said = await asking.answer(probe, arm)
        right = probe.passes(said)
        collected.add(Answer(id=probe.id, task=probe.task, arm=arm, right=right, answer=said, lang=probe.lang))

    try:
        async with asyncio.TaskGroup() as group:
            for probe, arm in todo:
                group.create_task(ask(probe, arm))
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None


class _Collected:
    """The answers so far, saved now and then."""

    def __init__(
        self,
        run: GeneralRun,
        answers: list[Answer],
        arms: tuple[str, ...],
        folder: Path,
        total: int,
        progress: Progress,
    ) -> None:
        self._run, self._answers, self._arms, self._folder = run, answers, arms, folder
        self._total, self._progress = total, progress

    def add(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._progress("Asking", len(self._answers), self._total)
        if len(self._answers) % KEEP_EVERY == 0:
            self.keep()

    def keep(self) -> None:
        save(self._run.model_copy(update={"answers": tuple(self._answers)}), self._folder)

    def finish(self) -> tuple[GeneralRun, Path]:
        ordered = sorted(self._answers, key=lambda answer: (answer.arm, answer.task, answer.id))
        done = scored(self._run, ordered, self._arms, finished=True)
        return done, save(done, self._folder)
