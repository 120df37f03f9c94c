"""The whole way: ask a gateway, measure, save the run in DOCDUET_HOME/evals."""

from __future__ import annotations

import asyncio
import logging
import platform
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import ConfigError, DocDuetError, GatewayError
from data.home import Home
from evals.answers.collect import Told, collect
from evals.answers.evidence import Evidence
from evals.answers.gateway import Gateway, Offer
from evals.answers.kept import Kept, keeping
from evals.answers.measure import measure
from evals.questions import Question, QuestionSet
from evals.runs import EvalRun, Result, write_run

if TYPE_CHECKING:
    from data.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What to run. ``sample``: questions drawn with ``seed``, 0 for all; ``label``: "" for the set's name."""

    questions: QuestionSet
    arms: tuple[str, ...]
    url: str
    key: str = ""
    label: str = ""
    sample: int = 0
    seed: int = 0
    concurrency: int = 4
    resume: bool = True

    @property
    def asked(self) -> dict[str, Any]:
        """What makes it the same run when it is gone on with."""
        return {
            "set": self.questions.sha256,
            "arms": self.arms,
            "url": self.url,
            "label": self.label,
            "sample": self.sample,
            "seed": self.seed,
        }


def evaluate(plan: Plan, settings: Settings, told: Told) -> tuple[EvalRun, Path]:
    """Ask what was not asked yet, measure everything, save it. Raises ConfigError, GatewayError, BusyError."""
    drawn = plan.questions.sample(plan.sample, plan.seed).questions
    folder = settings.home.evals
    try:
        offer = asyncio.run(_offer(plan))
        with keeping(folder, plan.asked, _header(offer), plan.resume) as kept:
            _ask(plan, drawn, kept, told)
            evidence = evidence_of(settings.home, plan.questions, offer.generation)
            run = _run(plan, kept.header["started_at"], offer, _measured(drawn, plan.arms, kept, evidence, told))
            path = write_run(folder, _name(run), run)
            kept.done()
    except DocDuetError:
        raise
    except OSError as error:
        raise ConfigError(f"the evaluation cannot be kept in {folder}: {error.strerror or error}") from error
    return run, path


def evidence_of(home: Home, questions: QuestionSet, generation: str) -> Evidence:
    """The index ``generation`` of this home or of the demonstration's, else the live one here, where there is one; and
    the pages that the set brings."""
    from rag.generation import IndexGeneration
    from rag.generations import Generations

    known = generation if Path(generation).name == generation else ""  # a gateway elsewhere says it: a name, no path
    same = [folder for place in (home, home.demo) if known and (folder := place.index / known).is_dir()]
    try:
        index = IndexGeneration(same[0] if same else Generations(home.index).current())
    except (OSError, ValueError, KeyError, sqlite3.Error) as error:  # NoIndexError among them
        log.warning("answers are held against what the gateway quotes of its sources, and no more: %s", error)
        return Evidence(None, questions.corpus)
    if not same:
        log.warning("answers are held against another index than the gateway answers from: %s", index.info.id)
    return Evidence(index, questions.corpus)


async def _offer(plan: Plan) -> Offer:
    async with Gateway(plan.url, plan.key) as gateway:
        return await gateway.offer(plan.arms)


def _header(offer: Offer) -> dict[str, Any]:
    """What a run is begun with."""
    arms = {name: arm.model_dump() for name, arm in offer.arms.items()}
    started_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"started_at": started_at, "answered_by": {"generation": offer.generation, "arms": arms}}


def _ask(plan: Plan, drawn: Sequence[Question], kept: Kept, told: Told) -> None:
    async def ask() -> None:
        async with Gateway(plan.url, plan.key, plan.seed) as gateway:
            await collect(gateway, drawn, plan.arms, kept, plan.concurrency, told)

    try:
        asyncio.run(ask())
    except GatewayError as error:
        total = len(drawn) * len(plan.arms)
        raise GatewayError(
            f"{error}. {len(kept.answers)} of {total} answers are kept: the same command goes on from there"
        ) from error


def _measured(
    drawn: Sequence[Question], arms: Sequence[str], kept: Kept, evidence: Evidence, told: Told
) -> list[Result]:
    results = []
    for done, question in enumerate(drawn, start=1):
        results += [measure(question, kept.answers[question.id, arm], evidence) for arm in arms]
        told("Measuring", done, len(drawn))
    return results


def _run(plan: Plan, started_at: str, offer: Offer, results: Sequence[Result]) -> EvalRun:
    return EvalRun(
        object="eval_run",
        set=plan.questions.name,
        set_sha256=plan.questions.sha256,
        label=plan.label or plan.questions.name,
        started_at=started_at,
        arms=offer.arms,
        generation=offer.generation,
        seed=plan.seed,
        versions={"docduet": version("docduet"), "python": platform.python_version()},
        concurrency=plan.concurrency,
        gateway=plan.url,
        results=tuple(results),
    )


def _name(run: EvalRun) -> str:
    """Such as handbook-20261126T050000Z."""
    plain = re.sub(r"[^\w.-]+", "-", run.label).strip("-.") or "run"
    return f"{plain[:60]}-{re.sub('[-:]', '', run.started_at)}"
