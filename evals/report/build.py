"""Inputs and evaluation runs -> a report. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from evals.report import pairs, stats
from evals.report.inputs import Battle, Filters, Inputs, Said, Tally
from evals.report.results import Position, Report, Run, Scores, Share, Spread, Voice
from evals.report.sentence import headline, sentence_of
from evals.runs import EvalRun, Result

MEASURES = ("facts_recalled", "citation_precision", "citation_recall", "faithful")
FIELDS = len(Said._fields) - 1
MOST_RUNS = 5
"""Evaluation runs that are shown, the newest."""


def build(inputs: Inputs, runs: Sequence[EvalRun] = (), problems: Sequence[str] = ()) -> Report:
    """The whole report. ``problems``: evaluation runs that could not be read."""
    wanted, filters = inputs.filters.arms, inputs.filters
    grouped: dict[tuple[str, str], list[Battle]] = {}
    for battle in inputs.battles:
        if not wanted or set(battle.arms) <= set(wanted):
            grouped.setdefault(pairs.pair_of(battle.arms), []).append(battle)
    counted = [
        pairs.compared(arms, battles, filters.min_votes)
        for arms, battles in grouped.items()
        if len(battles) >= filters.min_votes
    ]
    counted.sort(key=lambda pair: (-pair.counts.votes, pair.arms))
    adjusted, comparisons = pairs.holm(counted)
    told = tuple(replace(pair, sentence=sentence_of(pair)) for pair in adjusted)
    battles = [battle for group in grouped.values() for battle in group]
    return Report(
        votes=len(battles),
        users=len({battle.user for battle in battles if battle.user}),
        sentence=headline(told, filters != Filters()),
        pairs=told,
        voices=_voices(inputs),
        router=_router(battles),
        comparisons=comparisons,
        runs=tuple(_run(run, wanted) for run in runs[:MOST_RUNS]),
        problems=tuple(problems),
        filters=asdict(filters) | {"arms": list(filters.arms)},
        made_at=time.time(),
    )


def _router(battles: Iterable[Battle]) -> Position:
    """Where the router let both answer, did the vote go to the arm that it believed in more? Ties are left out."""
    asked = [battle for battle in battles if battle.favoured and battle.winner in ("0", "1")]
    right = sum(battle.arms[int(battle.winner)] == battle.favoured for battle in asked)
    return Position(stats.share(right, len(asked)), stats.sign_test(right, len(asked) - right))


def _voices(inputs: Inputs) -> tuple[Voice, ...]:
    said: dict[str, list[Said]] = {}
    for answer in inputs.said:
        said.setdefault(answer.arm, []).append(answer)
    shown = [tally for tally in inputs.tallies if not inputs.filters.arms or tally.arm in inputs.filters.arms]
    return tuple(_voice(tally, said.get(tally.arm, ())) for tally in sorted(shown, key=lambda t: pairs.rank(t.arm)))


def _voice(tally: Tally, said: Sequence[Said]) -> Voice:
    import numpy as np

    columns = [np.array(column, dtype=float) for column in list(zip(*said, strict=True))[1:] or [()] * FIELDS]
    refused, length, first_ms, total_ms, tokens, citations, unsupported = columns
    cited = int(citations.sum())
    return Voice(
        arm=tally.arm,
        answers=tally.answers,
        refused=stats.share(tally.refused, tally.told),
        degraded=stats.share(tally.degraded, tally.told),
        failed=tally.failed,
        up=tally.up,
        down=tally.down,
        looked_at=len(said),
        first_ms=spread(first_ms),
        total_ms=spread(total_ms),
        tokens=spread(tokens[tokens > 0]),
        length=spread(length[refused == 0]),
        citations=stats.share(max(0, cited - int(np.nansum(unsupported))), cited),
    )


def spread(values: Any) -> Spread | None:
    """Median and 95th percentile of the values that are there."""
    import numpy as np

    found = np.array(values, dtype=float)
    found = found[~np.isnan(found)]
    if not len(found):
        return None
    middle, high = np.percentile(found, [50, 95])
    return Spread(float(middle), float(high), len(found))


def _run(run: EvalRun, wanted: Sequence[str]) -> Run:
    arms: dict[str, list[Result]] = {}
    for result in run.results:
        if not wanted or result.arm in wanted:
            arms.setdefault(result.arm, []).append(result)
    scores = tuple(_scores(arm, results) for arm, results in sorted(arms.items()))
    return Run(run.file, run.label or run.set, run.started_at, scores)


def _scores(arm: str, results: list[Result]) -> Scores:
    def mean(name: str) -> Share:
        return stats.mean_interval([value for result in results if (value := getattr(result, name)) is not None])

    def spread_of(name: str) -> Spread | None:
        return spread([getattr(result, name) for result in results])

    judged = [result for result in results if result.answerable is not None]
    fields: dict[str, Any] = {name: mean(name) for name in MEASURES}
    return Scores(
        arm=arm,
        questions=len({result.id for result in results}),
        refused=stats.share(sum(result.refused for result in results), len(results)),
        refusals_right=stats.share(sum(result.refused != result.answerable for result in judged), len(judged)),
        total_ms=spread_of("latency_ms"),
        tokens=spread_of("tokens"),
        length=spread_of("length"),
        **fields,
    )
