"""Evaluation runs and general-ability results -> a scorecard. Pure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from data.errors import ConfigError
from evals.general.results import GeneralRun
from evals.look.text import line
from evals.report.votes import rank
from evals.runs import Arm, EvalRun, Result
from evals.scorecard.abilities import abilities
from evals.scorecard.bootstrap import Taken, score
from evals.scorecard.comparing import answers_of, compared, different
from evals.scorecard.gate import check
from evals.scorecard.measures import MEASURES
from evals.scorecard.results import Column, Contrast, Part, Scorecard
from evals.scorecard.sentence import headline, limits, peer
from evals.scorecard.worst import worst

MOST_COLUMNS = 16
ARM_PAIRS = (("rag", "sft"), ("rag", "sft-rag"), ("sft", "sft-rag"), ("base", "sft"), ("base", "rag"))
"""Arms of one run that are held against each other, the product's question first."""
KINDS = ("single", "steps", "follow-up", "unanswerable")
QUOTING = ("quote", "quoting")
"""What an arm or a run is called where no model writes and the best passages are quoted."""
NO_ENGINE = "no engine"
"""Why a gateway without a model quotes, in its answers' ``degraded``."""


@dataclass(frozen=True)
class Answers:
    """A column with what it is made of."""

    run: EvalRun
    column: Column
    results: Mapping[str, Result]


def build(
    runs: Sequence[EvalRun],
    general: Sequence[GeneralRun] = (),
    problems: Sequence[str] = (),
    seed: int = 0,
    baseline: EvalRun | None = None,
    margin: float = 0.02,
) -> Scorecard:
    """The whole scorecard. ``runs``: the oldest, or what came before, first. ``baseline``: what the others must not be
    worse than by more than ``margin``. Raises ConfigError where there is nothing to show or too much."""
    told = list(problems)
    answers = [found for run in runs for found in _columns(run, runs)]
    _require(answers)
    found = _contrasts(answers, runs, told, seed)
    columns = _colored([answer.column for answer in answers])
    told += [f"{run.file}: the run is not finished, its figures are of a part" for run in runs if not run.finished]
    told += [_miscalled(run) for run in runs if _is_quoting(run.label) and not quotes(run)]
    card = Scorecard(
        columns=columns,
        parts=_parts(answers, seed),
        contrasts=found,
        abilities=abilities(columns, [_labels(answer.run, runs) for answer in answers], general, found),
        worst=worst([(n, answers[n].results) for n in _shown(found)]),
        sentence={},
        peer={},
        limits={},
        comparisons=sum(bool(one.verdict) for contrast in found for one in contrast.differences),
        problems=tuple(line(problem, 300) for problem in told),
        gate=check(baseline, _candidates(runs, baseline), margin, seed) if baseline else None,
        seed=seed,
        made_at=time.time(),
    )
    return replace(card, sentence=headline(card), peer=peer(card), limits=limits(card))


def _candidates(runs: Sequence[EvalRun], baseline: EvalRun) -> list[EvalRun]:
    """What is held against the baseline: not itself, and not a peer that only quotes."""
    return [run for run in runs if run != baseline and (not quotes(run) or quotes(baseline))]


def quotes(run: EvalRun) -> bool:
    """Whether no model wrote in the whole run."""
    return bool(run.results) and all(_quotes(arm, run, results) for arm, results in answers_of(run).items())


def _quotes(arm: str, run: EvalRun, results: Mapping[str, Result]) -> bool:
    """Whether no model wrote these answers. Where all of them are refusals, the arm or the run is called so."""
    answered = [result for result in results.values() if not result.refused and not result.failed]
    if not answered:
        return _is_quoting(arm) or _is_quoting(run.label)
    return all(result.degraded == NO_ENGINE for result in answered)


def _is_quoting(name: str) -> bool:
    return name.strip().lower() in QUOTING


def _miscalled(run: EvalRun) -> str:
    return (
        f"{run.file} is called {run.label}, but a model wrote in it: the quoting mode has a gateway without an engine"
    )


def _require(answers: Sequence[Answers]) -> None:
    if not answers:
        raise ConfigError("the evaluation runs hold no answers: make one with `docduet eval run`")
    if len(answers) > MOST_COLUMNS:
        raise ConfigError(
            f"the runs have {len(answers)} voices together, and {MOST_COLUMNS} fit a scorecard: name fewer runs"
        )


def _columns(run: EvalRun, runs: Sequence[EvalRun]) -> list[Answers]:
    found = []
    for arm, results in sorted(answers_of(run).items(), key=lambda item: rank(item[0])):
        facts = facts_of(run, arm)
        column = Column(
            arm=line(arm, 40),
            label=_label(run, runs) if len(runs) > 1 else "",
            set=line(run.set),
            file=line(run.file),
            started_at=line(run.started_at, 32),
            questions=len(results),
            quoting=_quotes(arm, run, results),
            model=line(facts.model),
            checkpoint=line(facts.checkpoint),
            checkpoint_step=facts.checkpoint_step,
            dataset_sha256=line(facts.dataset_sha256, 64),
            base_model=line(facts.base_model),
            generation=line(run.generation),
            fallbacks=_fallbacks(results),
        )
        found.append(Answers(run, column, results))
    return found


def _fallbacks(results: Mapping[str, Result]) -> dict[str, int]:
    """Why passages were quoted, the most frequent reason first; what an engine said when it failed is left out."""
    reasons = Counter(line(result.degraded.partition(":")[0], 40) for result in results.values() if result.degraded)
    return dict(reasons.most_common(5))


def _labels(run: EvalRun, runs: Sequence[EvalRun]) -> set[str]:
    """Of general-ability results that are this run's, and of no other's."""
    found = {run.label} if sum(other.label == run.label for other in runs) == 1 else set()
    return found | {""} if [other for other in runs if not quotes(other)] == [run] else found - {""}


def facts_of(run: EvalRun, arm: str) -> Arm:
    """What answered; empty where the run does not say."""
    return run.arms.get(arm, Arm())


def _colored(columns: Sequence[Column]) -> tuple[Column, ...]:
    voices = ["quote" if column.quoting else column.arm for column in columns]
    order = sorted(set(voices), key=rank)
    found = zip(columns, voices, range(len(columns)), strict=True)
    return tuple(replace(c, color=order.index(voice), newest=voice not in voices[n + 1 :]) for c, voice, n in found)


def _label(run: EvalRun, runs: Sequence[EvalRun]) -> str:
    """What tells a run from the others: its label, else its day, else its file, else its place."""
    for name in ("label", "started_at", "file"):
        values = [line(getattr(other, name)) for other in runs]
        own = line(getattr(run, name))
        if own and values.count(own) == 1:
            return own[:10] if name == "started_at" and [v[:10] for v in values].count(own[:10]) == 1 else own
    return f"#{next(n for n, other in enumerate(runs, start=1) if other is run)}"


def _parts(answers: Sequence[Answers], seed: int) -> tuple[Part, ...]:
    """All questions, and those of each language and kind."""
    found = [_part("all", "", answers, seed)]
    for by in ("lang", "kind"):
        values = {value for a in answers for r in a.results.values() if (value := getattr(r, by))}
        order = sorted(values, key=lambda value: (KINDS.index(value) if value in KINDS else len(KINDS), value))
        if len(values) > 1:
            found += [_part(by, value, answers, seed) for value in order[:8]]
    return tuple(found)


def _part(by: str, value: str, answers: Sequence[Answers], seed: int) -> Part:
    chosen = [[r for r in a.results.values() if by == "all" or getattr(r, by) == value] for a in answers]
    scores = {m.name: tuple(score(Taken.of(m, results), seed) for results in chosen) for m in MEASURES}
    return Part(by, line(value, 20), max(len(results) for results in chosen), scores)


def _contrasts(
    answers: Sequence[Answers], runs: Sequence[EvalRun], problems: list[str], seed: int
) -> tuple[Contrast, ...]:
    """Before and after, then arm against arm in the last run that a model wrote in, then quoting against all models."""
    last = next((run for run in reversed(runs) if not quotes(run)), runs[-1])
    comparable = []
    for run in runs:
        if why := different(run, last):
            problems.append(f"{run.file} is not compared with {last.file}: {why}")
        else:
            comparable.append(run)
    found = []
    for before, after, kind in _pairs(answers, comparable, last):
        shared = sorted(set(answers[before].results) & set(answers[after].results))
        differences = compared(answers[before].results, answers[after].results, shared, seed=seed)
        found.append(Contrast(before, after, kind, len(shared), differences))
    return tuple(contrast for contrast in found if contrast.differences)


def _pairs(answers: Sequence[Answers], comparable: Sequence[EvalRun], last: EvalRun) -> list[tuple[int, int, str]]:
    """Columns of the ``comparable`` runs (``last`` among them), with the kind of the contrast."""
    numbered = [(n, a) for n, a in enumerate(answers) if any(a.run is run for run in comparable)]
    now = {a.column.arm: n for n, a in numbered if a.run is last}
    again = [n for n, a in numbered if a.run is not last and _same_voice(a, answers, now)]
    again.sort(key=lambda n: facts_of(answers[n].run, answers[n].column.arm) == facts_of(last, answers[n].column.arm))
    newest = {arm: n for arm, n in now.items() if not answers[n].column.quoting}
    arms = [(newest[a], newest[b]) for a, b in ARM_PAIRS if a in newest and b in newest]
    named = {arm for pair in ARM_PAIRS for arm in pair}
    first = next(iter(newest.values()), None)
    arms += [(first, n) for arm, n in newest.items() if first is not None and arm not in named and n != first]
    quoting = [n for n, a in numbered if a.column.quoting][-1:]
    models = [n for n, a in numbered if not a.column.quoting]
    models.sort(key=lambda n: answers[n].run is not last)
    peers = [(quote, n) for quote in quoting for n in models]
    return [(n, now[answers[n].column.arm], "run") for n in again] + [(*pair, "arm") for pair in arms + peers]


def _same_voice(one: Answers, answers: Sequence[Answers], now: Mapping[str, int]) -> bool:
    """Whether the last run has this voice, too: the quoting mode is none of a model's."""
    arm = one.column.arm
    return arm in now and answers[now[arm]].column.quoting == one.column.quoting


def _shown(contrasts: Sequence[Contrast]) -> tuple[int, ...]:
    """The columns whose answers are shown side by side: of the first comparison."""
    return (contrasts[0].before, contrasts[0].after) if contrasts else (0,)
