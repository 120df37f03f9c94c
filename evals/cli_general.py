"""`docduet eval general`: general ability before and after fine-tuning, by the probes that ship or by EvalScope."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evals.progress import progress

if TYPE_CHECKING:
    from data.settings import Settings
    from evals.general.results import GeneralRun


@dataclass(frozen=True)
class _Order:
    """Whom to ask what, and how: the options of the command."""

    folder: Path
    arms: list[str]
    gateway: str
    key: str
    tasks: list[str]
    label: str
    system: str
    seed: int
    limit: int
    concurrency: int
    resume: bool


def general(
    ctx: typer.Context,
    arms: Annotated[
        str, typer.Option(help="Voices to ask, with commas between; each is compared with the first.")
    ] = "base,sft",
    gateway: Annotated[
        str, typer.Option(metavar="URL", help="The gateway to ask; default: the one on this machine.")
    ] = "",
    key: Annotated[str, typer.Option(envvar="DOCDUET_API_KEY", help="Your key, where the gateway asks for one.")] = "",
    suite: Annotated[
        Literal["probes", "evalscope"],
        typer.Option(help="probes: those that ship; evalscope: benchmarks on your disk."),
    ] = "probes",
    tasks: Annotated[
        str, typer.Option(help="Only these, with commas between; for evalscope: gsm8k, ifeval, mmlu_redux, ceval.")
    ] = "",
    data_dir: Annotated[
        Path | None, typer.Option(help="For evalscope: the folder with a dataset's folder for each task.")
    ] = None,
    evalscope: Annotated[
        str,
        typer.Option(metavar="PYTHON", help="For evalscope: the Python of the environment that it is installed in."),
    ] = sys.executable,
    limit: Annotated[
        int, typer.Option(min=0, help="At most so many items of a task (evalscope: of each subset); 0: all.")
    ] = 0,
    system: Annotated[
        str, typer.Option(help="System message for all arms; default: a neutral one; own: each arm's own.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Given to the engines, which answer greedily.")] = 0,
    label: Annotated[
        str, typer.Option(help="What scorecards call this run: as of the run of `docduet eval run`.")
    ] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Items under way at once.")] = 4,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on with a run that was stopped, or begin anew.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print scores and differences as JSON.")] = False,
) -> None:
    """What the model can still do apart from the docs: the same items for every voice, compared item by item.

    Examples:

        docduet eval general --arms base,sft

        docduet eval general --tasks arithmetic,reading --limit 6 --json

        docduet eval general --suite evalscope --data-dir benchmarks/ --evalscope evalscope/bin/python --limit 50
    """
    import json

    from data.errors import ConfigError
    from evals.answers.connection import gateway_here
    from evals.general.table import verdict

    settings: Settings = ctx.obj
    names = _names(arms)
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"--arms {arms!r}: name each voice once, such as base,sft")
    order = _Order(
        folder=settings.home.evals / "general", arms=names, gateway=gateway or gateway_here(settings), key=key,
        tasks=_names(tasks), label=label, system=system, seed=seed, limit=limit, concurrency=concurrency, resume=resume,
    )  # fmt: skip
    run, path = _probes(order) if suite == "probes" else _evalscope(order, data_dir, evalscope)
    if as_json:
        told = run.model_dump(mode="json", exclude={"answers"}) | {"run": str(path)}
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    _print(run)
    for each in run.differences:
        if each.task == "all":
            typer.echo(verdict(each))
    typer.echo(f"saved: {path}")


def _probes(order: _Order) -> tuple[GeneralRun, Path]:
    import asyncio

    from evals.general.asking import Asking, who_answers
    from evals.general.probes import load_probes
    from evals.general.run import run_probes

    probes = load_probes(order.tasks, order.limit)
    asked: dict[str, object] = {"system": order.system, "seed": order.seed}

    async def ask() -> tuple[GeneralRun, Path]:
        models = await who_answers(order.gateway, order.key, tuple(order.arms))
        async with Asking(order.gateway, order.key, order.system, order.seed) as asking:
            with progress() as report:
                return await run_probes(
                    asking, probes, order.arms, order.folder, models, order.label, asked,
                    order.concurrency, order.resume, report,
                )  # fmt: skip

    return asyncio.run(ask())


def _evalscope(order: _Order, data_dir: Path | None, python: str) -> tuple[GeneralRun, Path]:
    import asyncio

    from evals.general.asking import who_answers
    from evals.general.run import begin
    from evals.general.scope import datasets, installed, run_evalscope

    found = datasets(order.tasks, data_dir)
    version = installed(python)
    models = asyncio.run(who_answers(order.gateway, order.key, tuple(order.arms)))
    asked: dict[str, object] = {
        "arms": order.arms,
        "data": {task: str(path) for task, path in found.items()},
        "system": order.system,
        "seed": order.seed,
        "limit": order.limit,
        "concurrency": order.concurrency,
    }
    run = begin("evalscope", order.label, asked, models, evalscope=version)
    with progress() as report:
        return run_evalscope(run, order.gateway, order.key, python, found, order.folder, order.resume, report)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _print(run: GeneralRun) -> None:
    from rich.console import Console

    from evals.general.table import table

    Console(width=None if Console().is_terminal else 140).print(table(run))
