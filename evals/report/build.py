"""Inputs and evaluation runs -> a report. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from evals.report import pairs, stats
from evals.report.inputs import Filters, Inputs, Said, Tally
from evals.report.results import Position, Report, Run, Scores, Share, Spread, Voice
from evals.report.sentence import headline, sentence_of
from evals.report.votes import Columns, Votes, rank
from evals.runs import EvalRun, Result

MEASURES = ("facts_recalled", "citation_precision", "citation_recall", "faithful")
FIELDS = len(Said._fields) - 1
MOST_RUNS = 5
"""Evaluation runs that are shown, the newest."""


def build(inputs: Inputs, runs: Sequence[EvalRun] = (), problems: Sequence[str] = ()) -> Report:
    """The whole report. ``problems``: evaluation runs that could not be read."""
    wanted, filters = inputs.filters.arms, inputs.filters
    columns = Columns(inputs.battles)
    grouped = columns.by_pair(wanted)
    counted = [
        pairs.compared(arms, votes, filters.min_votes)
        for arms, votes in grouped.items()
        if len(votes) >= filters.min_votes
    ]
    counted.sort(key=lambda pair: (-pair.counts.votes, pair.arms))
    adjusted, comparisons = pairs.holm(counted)
    told = tuple(replace(pair, sentence=sentence_of(pair)) for pair in adjusted)
    rows = _rows(list(grouped.values()))
    return Report(
        votes=len(rows),
        users=sum(user != "" for (user,), _ in columns.table(rows, "user")),
        sentence=headline(told, filters != Filters()),
        pairs=told,
        voices=_voices(inputs),
        router=_router(columns, rows),
        comparisons=comparisons,
        runs=tuple(_run(run, wanted) for run in runs[:MOST_RUNS]),
        problems=tuple(problems),
        filters=asdict(filters) | {"arms": list(filters.arms)},
        made_at=time.time(),
    )


def _rows(grouped: Sequence[Votes]) -> Any:
    import numpy as np

    return np.concatenate([votes.rows for votes in grouped]) if grouped else np.array([], dtype=np.int64)


def _router(columns: Columns, rows: Any) -> Position:
    """Where the router let both answer, did the vote go to the arm that it believed in more? Ties are left out."""
    right = asked = 0
    for (arms, winner, favoured), count in columns.table(rows, "arms", "winner", "favoured"):
        if favoured and winner in ("0", "1"):
            asked += count
            right += count * (arms[int(winner)] == favoured)
    return Position(stats.share(right, asked), stats.sign_test(right, asked - right))


def _voices(inputs: Inputs) -> tuple[Voice, ...]:
    said: dict[str, list[Said]] = {}
    for answer in inputs.said:
        said.setdefault(answer.arm, []).append(answer)
    shown = [tally for tally in inputs.tallies if not inputs.filters.arms or tally.arm in inputs.filters.arms]
    return tuple(_voice(tally, said.get(tally.arm, ())) for tally in sorted(shown, key=lambda t: rank(t.arm)))


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
