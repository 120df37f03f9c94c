"""A saved run, judged: every answer, and every pair of arms; the verdicts saved beside it, the measures in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

from data.chat.window import Usage, Window
from data.errors import ConfigError
from data.home import Home
from evals.answers.collect import Told
from evals.judge.answers import is_judged, judge_answer, open_facts, with_verdicts
from evals.judge.pages import Pages
from evals.judge.pairs import judge_pair
from evals.judge.prompts import Case
from evals.judge.results import AnswerVerdict, Judged, PairVerdict, write_judged
from evals.model import Model, asking
from evals.questions import Question, QuestionSet, load_set
from evals.runs import EvalRun, Result, read_run, rewrite_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """``path``: of the run. ``arms``: () for all. ``set_name``: "" for what the run names."""

    path: Path
    arms: tuple[str, ...] = ()
    set_name: str = ""


@dataclass(frozen=True)
class Bench:
    """What judging needs. ``gold``: by question id, where it is known."""

    run: EvalRun
    arms: tuple[str, ...]
    gold: Mapping[str, Question]
    pages: Pages

    def case(self, results: Sequence[Result]) -> Case:
        """The question of these answers, with excerpts of the pages that answer it or are cited by one of them."""
        one, gold = results[0], self.gold.get(results[0].id)
        urls = [*(gold.pages if gold else ()), *(url for result in results for url in result.sources)]
        near = "\n".join([one.question, *sorted(result.answer for result in results)])
        return Case(
            question=one.question,
            lang=one.lang,
            history=one.history,
            docs=self.pages.excerpts(urls, near),
            facts=tuple(fact.text for fact in gold.facts) if gold else (),
            reference=gold.reference if gold else "",
            answerable=one.answerable,
        )


def find_run(folder: Path, name: str) -> Path:
    """The run's file: a path, a name in ``folder``, or "" for the newest there. Raises ConfigError."""
    places = [Path(name).expanduser(), folder / name, folder / f"{name}.json"] if name else []
    found = next((path for path in places if path.is_file()), None)
    if found is None and not name:
        found = max(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, default=None)
    if found is None:
        what = f"no evaluation run {name!r}" if name else "there is no evaluation run yet"
        raise ConfigError(f"{what} in {folder}: make one with `docduet eval run --set SET`")
    return found


def judge_run(plan: Plan, model: Model, home: Home, told: Told) -> tuple[Judged, Path]:
    """Judge it and save all. ConfigError, EngineError: what was judged is kept, the same command goes on."""
    bench = _bench(plan, home)
    judge, answers, pairs = asyncio.run(_judged(bench, model, told))
    judged = Judged(
        run=bench.run.file,
        set=bench.run.set,
        label=bench.run.label or bench.run.set,
        judge=judge,
        url=model.url,
        judged_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        arms=bench.arms,
        answers=tuple(answers),
        pairs=tuple(pairs),
    )
    changed = {"results": with_verdicts(bench.run.results, answers, bench.gold), "judge": judge}
    try:
        path = write_judged(home.evals, judged)
        rewrite_run(plan.path, bench.run.model_copy(update=changed))
    except OSError as error:
        raise ConfigError(f"the verdicts cannot be saved in {home.evals}: {error.strerror or error}") from error
    return judged, path


def _bench(plan: Plan, home: Home) -> Bench:
    run = read_run(plan.path)
    known = tuple(dict.fromkeys(result.arm for result in run.results))
    missing = next((arm for arm in plan.arms if arm not in known), None)
    if missing is not None:
        raise ConfigError(f"{run.file} has no answers of {missing!r}; --arms can name: {', '.join(known)}")
    questions = _set(plan.set_name or run.set, home, bool(plan.set_name))
    asked = {result.id: result.question for result in run.results}
    gold = {one.id: one for one in questions.questions if asked.get(one.id) == one.question}
    if len(gold) < len(asked):
        log.warning(
            "%d of %d questions are not in the set %s as they were asked: they are judged without gold facts; give "
            "the set of the run with --set",
            *(len(asked) - len(gold), len(asked), questions.name),
        )
    return Bench(run, plan.arms or known, gold, Pages(home, questions.corpus))


def _set(name: str, home: Home, given: bool) -> QuestionSet:
    """The run's set; an empty one where it cannot be found and nobody named it."""
    try:
        return load_set(name, home)
    except ConfigError:
        if given:
            raise
        return QuestionSet(name, ())


async def _judged(bench: Bench, model: Model, told: Told) -> tuple[str, list[AnswerVerdict], list[PairVerdict]]:
    by_id: dict[str, dict[str, Result]] = {}
    for result in bench.run.results:
        if result.arm in bench.arms:
            by_id.setdefault(result.id, {})[result.arm] = result
    single = [one for found in by_id.values() for one in found.values() if is_judged(one)]
    pairs = [
        (found[a], found[b])
        for found in by_id.values()
        for a, b in combinations(bench.arms, 2)
        if a in found and b in found and not (found[a].failed or found[b].failed)
    ]
    total = len(single) + 2 * len(pairs)

    def progress(usage: Usage) -> None:
        told("Judging", usage.done + usage.failed, total)

    async with asking(model, progress) as window:
        told("Judging", 0, total)
        answers = await asyncio.gather(*(_answer(bench, one, window, n) for n, one in enumerate(single)))
        compared = await asyncio.gather(*(_pair(bench, two, window, n) for n, two in enumerate(pairs)))
        return window.usage.model, [one for one in answers if one], list(compared)


async def _answer(bench: Bench, result: Result, window: Window, place: int) -> AnswerVerdict | None:
    return await judge_answer(result, bench.case([result]), open_facts(bench.gold.get(result.id)), window, place)


async def _pair(bench: Bench, results: tuple[Result, Result], window: Window, place: int) -> PairVerdict:
    first, second = results
    arms = (first.arm, second.arm)
    return await judge_pair(first.id, bench.case(results), arms, (first.answer, second.answer), window, place)
