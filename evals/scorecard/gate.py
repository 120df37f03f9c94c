"""May a new checkpoint or index be released? Not if a measure is worse than the baseline's beyond margin and chance.

A measure fails where the whole 95 % interval of its paired difference (bootstrap.py) lies beyond the margin on the
worse side. One that did not change fails so in 2.3 % of simulated cases at margin 0 and in 0.7 % at the default margin,
with 120 questions; with 25, in 2.6 % at both. With 9 gated measures of 4 arms, some run in three fails at margin 0.
Times, lengths and the judge do not decide: times are the machine's, and longer is not better. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.errors import ConfigError
from evals.look.text import line
from evals.runs import EvalRun, Result
from evals.scorecard.bootstrap import Taken
from evals.scorecard.comparing import answers_of, compared, different
from evals.scorecard.measures import BY_NAME, MEASURES
from evals.scorecard.results import Gate, Skipped, Verdict


def check(baseline: EvalRun, runs: Sequence[EvalRun], margin: float = 0.02, seed: int = 0) -> Gate:
    """Raises ConfigError where a run cannot be compared with ``baseline``."""
    if not runs:
        raise ConfigError(
            f"there is no run to hold against {baseline.file}: name one, or make it with `docduet eval run`"
        )
    found: list[Verdict] = []
    skipped: list[Skipped] = []
    for run in runs:
        _require_comparable(baseline, run)
        verdicts, missing = _verdicts(baseline, run, margin, seed)
        found += verdicts
        skipped += missing
    failures = tuple(verdict for verdict in found if verdict.difference.verdict == "worse")
    return Gate(line(baseline.label or baseline.file), margin, tuple(found), failures, tuple(skipped))


def _require_comparable(baseline: EvalRun, run: EvalRun) -> None:
    why = different(baseline, run)
    if not why:
        why = next((f"{one.file} is not finished" for one in (baseline, run) if not one.finished), "")
    if not why and not answers_of(baseline).keys() & answers_of(run).keys():
        why = "no voice answered in both"
    if why:
        raise ConfigError(f"{run.file} cannot be held against {baseline.file}: {why}; ask the same set again")


def _verdicts(baseline: EvalRun, run: EvalRun, margin: float, seed: int) -> tuple[list[Verdict], list[Skipped]]:
    old, new = answers_of(baseline), answers_of(run)
    skipped = [Skipped(line(arm), line(baseline.file)) for arm in sorted(old.keys() - new.keys())]
    skipped += [Skipped(line(arm), line(run.file)) for arm in sorted(new.keys() - old.keys())]
    found = []
    for arm in sorted(old.keys() & new.keys()):
        if missing := len(old[arm].keys() ^ new[arm].keys()):
            raise ConfigError(
                f"{run.file} cannot be held against {baseline.file}: of {arm}, {missing} questions were asked in only "
                "one of them; ask the same set again, without --sample or with the same one"
            )
        differences = compared(old[arm], new[arm], sorted(old[arm]), margin, seed)
        found += [Verdict(line(arm), line(run.label), one) for one in differences if BY_NAME[one.measure].gated]
        if lost := _measured_once(old[arm], new[arm]):
            skipped.append(Skipped(line(arm), line(run.file), lost))
    return found, skipped


def _measured_once(old: Mapping[str, Result], new: Mapping[str, Result]) -> tuple[str, ...]:
    """Gated measures that only one of both has."""
    gated = [measure for measure in MEASURES if measure.gated]
    sides = [[Taken.of(measure, list(results.values())).count > 0 for measure in gated] for results in (old, new)]
    return tuple(m.name for m, before, after in zip(gated, *sides, strict=True) if before != after)
