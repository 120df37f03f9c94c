"""`docduet eval agreement`: how often a judge model votes as people did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli_judge import Concurrency, KeyEnv, Name, Url, judge_of

if TYPE_CHECKING:
    from data.settings import Settings
    from evals.judge.agreement import Agreement, VotedPair
    from evals.report.results import Share


def agreement(
    ctx: typer.Context,
    judge_url: Url = "",
    judge_model: Name = "",
    judge_key_env: KeyEnv = "",
    most: Annotated[int, typer.Option("--votes", min=1, help="The newest votes, at most.")] = 500,
    concurrency: Concurrency = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Let a judge model vote on what people voted on, and say how often both agree.

    Reads the votes in the database of the configuration: the questions and answers go to the judge.

    Examples:

        docduet eval agreement --judge-url http://127.0.0.1:8000/v1
    """
    from data.errors import ConfigError
    from evals.judge.agreement import ask_about
    from evals.progress import progress

    settings: Settings = ctx.obj
    model = judge_of(settings, judge_url, judge_model, judge_key_env, concurrency)
    pairs = _voted(settings, most)
    if not pairs:
        raise ConfigError("nobody has voted yet on answers that are still there: compare some in the chat, and vote")
    with progress() as told:
        found = ask_about(pairs, model, settings.home, told)
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else _text(found))


def _voted(settings: Settings, most: int) -> list[VotedPair]:
    from serving.config import ServingConfig
    from serving.report.voted import voted
    from serving.store.database import Store, database_url

    store = Store.open(database_url(settings.table(ServingConfig).database, settings.home))
    try:
        with store.reading() as db:
            return voted(db, most)
    finally:
        store.close()


def _text(found: Agreement) -> str:
    lines = [
        f"{found.judge} and people, on the same pairs of answers (95 % intervals):",
        f"  all votes, ties too    {_share(found.all_votes)}   chance: 0.33",
        f"  decided by both        {_share(found.decided)}   chance: 0.50",
        "  Cohen's kappa          " + ("–" if found.kappa is None else f"{found.kappa:.2f}"),
    ]
    lines += [f"  followed the order     {_share(found.pairs.flipped)}"] if found.pairs else []
    lines += [f"  without a verdict      {found.unread}"] if found.unread else []
    return "\n".join(lines)


def _share(found: Share) -> str:
    return "–" if found.value is None else f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f}) of {found.of:.0f}"
