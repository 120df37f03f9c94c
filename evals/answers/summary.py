"""Results -> figures of each arm, with 95 % intervals: the bootstrap over questions for means, Wilson's for shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.answers.length import length_ratio, short
from evals.report.results import Share
from evals.report.stats import mean_interval, share
from evals.retrieval.metrics import average, percentile
from evals.runs import Result

MEANS = ("facts_recalled", "completeness", "faithful", "citation_precision", "citation_recall", "chrf")


@dataclass(frozen=True)
class Figures:
    """One arm. ``shares``: measure -> value and interval. ``times``: p50 and p95 in ms; ``tokens_mean``: written.

    ``refusal_precision``: refusals that were right / refusals. ``refusal_recall``: unanswerable questions that were
    refused / unanswerable questions. ``degenerate``, ``degraded``, ``failed``: shares of all answers.
    """

    n: int
    shares: Mapping[str, Share]
    times: Mapping[str, float | None]
    tokens_mean: float | None

    def as_dict(self) -> dict[str, Any]:
        """For --json; null where nothing was measured."""
        return {
            **{name: _rounded(found.value) for name, found in self.shares.items()},
            **{name: _rounded(ms, 1) for name, ms in self.times.items()},
            "tokens_mean": _rounded(self.tokens_mean, 1),
            "n": self.n,
            "intervals": {
                name: [_rounded(found.low), _rounded(found.high)]
                for name, found in self.shares.items()
                if found.value is not None
            },
        }


def summary(results: Sequence[Result], seed: int = 0) -> dict[str, Figures]:
    """The figures of every arm, in the order in which they appear."""
    arms = dict.fromkeys(result.arm for result in results)
    return {arm: _figures([result for result in results if result.arm == arm], seed) for arm in arms}


def _figures(results: Sequence[Result], seed: int) -> Figures:
    shares = {name: mean_interval(_values(results, name), seed) for name in MEANS} | _refusals(results)
    lengths = [lengths for result in results if (lengths := result.lengths)]
    shares |= {"length_ratio": length_ratio(lengths, seed), "short": short(lengths, seed)}
    for name in ("degenerate", "degraded", "failed"):
        shares[name] = share(sum(bool(getattr(result, name)) for result in results), len(results))
    times: dict[str, float | None] = {}
    for name in ("first_ms", "latency_ms"):
        values = _values(results, name)
        times |= {f"{name}_p{percent}": percentile(values, percent) if values else None for percent in (50, 95)}
    tokens = [count for count in _values(results, "tokens") if count]
    return Figures(len(results), shares, times, average(tokens) if tokens else None)


def _refusals(results: Sequence[Result]) -> dict[str, Share]:
    """Of answers whose question is known to be answerable or not."""
    judged = [result for result in results if result.answerable is not None]
    refused = sum(result.refused for result in judged)
    outside = sum(not result.answerable for result in judged)
    right = sum(result.refused and not result.answerable for result in judged)
    return {"refusal_precision": share(right, refused), "refusal_recall": share(right, outside)}


def _values(results: Sequence[Result], name: str) -> list[float]:
    return [float(value) for result in results if (value := getattr(result, name)) is not None]


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
