"""The report as one long table, for a spreadsheet: a line for each number, with its interval and count. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from evals.report.results import Counts, Pair, Report, Share, Spread

HEADS = ("section", "first", "second", "by", "value", "measure", "estimate", "low", "high", "of")


def as_csv(report: Report) -> str:
    """With a byte order mark, so that spreadsheets read Chinese."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADS)
    for row in _rows(report):
        writer.writerow([_harmless(cell) for cell in row])
    return "\ufeff" + out.getvalue()


def _rows(report: Report) -> Iterator[tuple[Any, ...]]:
    for pair in report.pairs:
        yield from _pair(pair)
    for voice in report.voices:
        for name in ("answers", "failed", "up", "down"):
            yield ("voice", voice.arm, "", "", "", name, getattr(voice, name), "", "", "")
        for name in ("refused", "degraded", "citations"):
            yield ("voice", voice.arm, "", "", "", name, *_share(getattr(voice, name)))
        for name in ("first_ms", "total_ms", "tokens", "length"):
            yield from _spread(("voice", voice.arm, "", "", ""), name, getattr(voice, name))
    yield ("router", "", "", "", "", "agreement", *_share(report.router.share))
    for run in report.runs:
        for scores in run.scores:
            about = ("run", scores.arm, "", run.set, run.started_at)
            for name in ("facts_recalled", "citation_precision", "citation_recall", "faithful", "refusals_right"):
                yield (*about, name, *_share(getattr(scores, name)))
            yield from _spread(about, "total_ms", scores.total_ms)


def _pair(pair: Pair) -> Iterator[tuple[Any, ...]]:
    yield from _counts(pair, "", "", pair.counts)
    start = ("votes", *pair.arms, "", "")
    if pair.by_user:
        yield (
            *start,
            "win_rate_over_people",
            pair.by_user.value,
            pair.by_user.low,
            pair.by_user.high,
            pair.by_user.users,
        )
    if pair.equal_length:
        same = pair.equal_length
        yield (*start, "win_rate_at_equal_length", same.value, same.low, same.high, same.of)
    yield (*start, "left_share", *_share(pair.first_position.share))
    yield (*start, "left_p", pair.first_position.p, "", "", "")
    yield (*start, "votes_needed", pair.needed.total, "", "", "")
    for name, parts in pair.slices.items():
        for part in parts:
            yield from _counts(pair, name, part.value, part.counts)
            yield ("votes", *pair.arms, name, part.value, "p_holm", part.p_holm, "", "", "")


def _counts(pair: Pair, by: str, value: str, counts: Counts) -> Iterator[tuple[Any, ...]]:
    start = ("votes", *pair.arms, by, value)
    for name in ("votes", "wins", "losses", "ties", "both_bad"):
        yield (*start, name, getattr(counts, name), "", "", "")
    yield (*start, "win_rate", *_share(counts.win_rate))
    yield (*start, "sign_test_p", counts.p, "", "", counts.wins + counts.losses)


def _share(share: Share) -> tuple[Any, ...]:
    return ("" if share.value is None else share.value, share.low, share.high, share.of)


def _spread(start: tuple[Any, ...], name: str, spread: Spread | None) -> Iterator[tuple[Any, ...]]:
    if spread:
        yield (*start, f"{name}_p50", spread.p50, "", "", spread.of)
        yield (*start, f"{name}_p95", spread.p95, "", "", spread.of)


def _harmless(cell: Any) -> Any:
    """A title that begins like a formula is no formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
