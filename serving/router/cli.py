"""`docduet route`: fit the router of the model `auto`, and see why it chooses as it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from data.settings import Settings
    from rag.live import LiveIndex
    from serving.arms.turn import Turn
    from serving.router.features import Learned
    from serving.router.labels import Label
    from serving.router.router import Considered
    from serving.router.study import Study

app = typer.Typer(help="Which voice the model `auto` lets answer.", no_args_is_help=True, rich_markup_mode="markdown")

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def fit(
    ctx: typer.Context,
    votes: Annotated[
        bool | None, typer.Option(help="Learn from votes and thumbs; by default when nothing else is given.")
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Learn from these labels or evaluation runs; can be given again."),
    ] = None,
    simulate: Annotated[
        int, typer.Option(metavar="N", min=0, help="Make up N labels with a known truth, to see the fit at work.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the router there; default: where gateways read it.")
    ] = None,
    chart: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Save the risk-coverage curve.")] = None,
    target_risk: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of answers that may be wrong; refusals are set to keep it.")
    ] = 0.2,
    save_labels: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Save the labels with the features measured for them.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds and made-up labels.")] = 0,
    as_json: Json = False,
) -> None:
    """Learn from votes and evaluation labels which voice answers what; a better router is never replaced.

    A label file holds one question a line: {"question": "...", "arms": {"rag": 1, "sft": 0}}, 1 where the voice
    answered well; or it is an evaluation run of `docduet eval run`. Running gateways take the new router up at once.
    Made-up labels are written nowhere unless --out says so.

    Examples:

        docduet route fit --chart curve.png

        docduet route fit --labels judged.jsonl --votes --target-risk 0.1

        docduet route fit --labels ~/.docduet/evals/handbook-20261126T050000Z.json

        docduet route fit --simulate 600 --json
    """
    from data.errors import ConfigError
    from serving.router.chart import save_chart
    from serving.router.labels import write_labels
    from serving.router.model import write_model
    from serving.router.router import Router
    from serving.router.study import study

    settings: Settings = ctx.obj
    if simulate and (votes or labels):
        raise ConfigError("--simulate makes its labels up: leave out --votes and --labels")
    found = _simulated(settings, simulate, seed) if simulate else _labels(settings, votes, labels or [])
    if save_labels:
        write_labels(save_labels, found)
    target = out or settings.home.router
    result = study(found, Router(target).model, target_risk, seed)
    written = result.better and (out is not None or not result.model.simulated)
    if written:
        write_model(target, result.model)
    if chart:
        kind = "Simulated labels" if result.model.simulated else "Labels"
        title = f"{kind}: {result.model.labels} questions, cross-validated"
        save_chart(result.fitted.expected, result.model.refuse_below, title, chart)
    if as_json:
        typer.echo(json.dumps(result.as_dict() | {"written": str(target) if written else None}, indent=2))
        return
    _print_study(result)
    _print_ending(result, target, written)


@app.command()
def explain(
    ctx: typer.Context,
    question: Annotated[str, typer.Argument(help="What would be asked.")],
    router: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="With this router; default: the one gateways read.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what `auto` would do with a question: what was measured, the scores, the choice and the reason.

    The voices are those that a gateway with this configuration has; engines are not asked.

    Examples:

        docduet route explain "How do I change the port?"

        docduet route explain "你好" --json
    """
    from data.lang import detect_lang
    from serving.arms.turn import Turn
    from serving.router.decide import reason
    from serving.router.rules import small_talk

    question = question.strip()
    turn = Turn(question=question, lang=detect_lang(question))
    if talk := small_talk(question):
        body = {"question": question, "arms": [], "reason": reason("talk", turn.lang), "talk": talk}
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2) if as_json else f"{talk}: {body['reason']}")
        return
    considered = _consider(ctx.obj, turn, router)
    if as_json:
        typer.echo(json.dumps(_as_dict(question, considered), ensure_ascii=False, indent=2))
    else:
        _print_considered(considered)


def _labels(settings: Settings, votes: bool | None, files: list[Path]) -> list[Label]:
    """What people and evaluations said, with features."""
    from serving.router.labels import once_each, read_labels
    from serving.router.study import measured

    found = [label for path in files for label in read_labels(path)]
    if votes or (votes is None and not files):
        found = [*_voted(settings), *found]
    found = once_each(found)
    if all(label.features for label in found):
        return found
    with _progress("Measuring questions") as progress:
        return measured(found, _live(settings), _learned(settings), progress)


def _voted(settings: Settings) -> list[Label]:
    from serving.config import ServingConfig
    from serving.router.votes import labels_of
    from serving.store.database import Store, database_url

    store = Store.open(database_url(settings.table(ServingConfig).database, settings.home))
    try:
        return labels_of(store)
    finally:
        store.close()


def _simulated(settings: Settings, count: int, seed: int) -> list[Label]:
    from data.store import PageStore
    from serving.router.study import simulated

    pages = list(PageStore(settings.home.pages).pages())
    with _progress("Measuring questions") as progress:
        return simulated(pages, _live(settings), count, seed, progress)


def _live(settings: Settings) -> LiveIndex:
    from rag.config import RagConfig
    from rag.live import LiveIndex

    live = LiveIndex(settings.home, settings.table(RagConfig))
    live.retriever()  # "nothing indexed yet" is said before any work
    return live


def _learned(settings: Settings) -> Learned | None:
    """What the published checkpoint was trained on; None where there is none. Raises CheckpointError."""
    from data.checkpoints import current, read_manifest
    from serving.router.features import Learned

    folder = current(settings.home)
    return Learned(read_manifest(folder).pages) if folder else None


def _consider(settings: Settings, turn: Turn, path: Path | None) -> Considered:
    """The decision, without any voice being asked."""
    import asyncio

    from serving.arms.retrieval import find
    from serving.config import ServingConfig
    from serving.router.decide import ARMS
    from serving.router.router import Router

    live, learned = _live(settings), _learned(settings)
    given = any(engine.name == "sft" for engine in settings.table(ServingConfig).engines)
    router = Router(path or settings.home.router)

    async def run() -> Considered:
        found = await find(live, turn, None)
        return await router.consider(turn, found, ARMS if learned or given else ("rag",), learned)

    return asyncio.run(run())


def _as_dict(question: str, considered: Considered) -> dict[str, object]:
    route, policy = considered.route, considered.policy
    return {
        "question": question,
        "arms": list(route.arms),
        "reason": route.reason,
        "scores": dict(policy.scores),
        "margin": policy.margin,
        "refuse_below": policy.refuse_below,
        "names": list(considered.names),
        "features": {name: round(value, 4) for name, value in considered.features.items()},
    }


def _print_considered(considered: Considered) -> None:
    route, policy = considered.route, considered.policy
    typer.secho(" and ".join(route.arms) or "refused", bold=True)
    typer.echo(f"  {route.reason}")
    scores = ", ".join(f"{arm} {score:.2f}" for arm, score in policy.scores.items())
    typer.echo(f"  scores    {scores} (refused below {policy.refuse_below:.2f}, both within {policy.margin:.2f})")
    shown = [f"{name} {value:.2f}" for name, value in considered.features.items() if value]
    typer.echo(f"  measured  {', '.join(shown)}")


def _print_study(result: Study) -> None:
    from rich.console import Console
    from rich.table import Table

    from serving.router import outcomes

    expected, model = result.fitted.expected, result.model
    made_up = "simulated: made-up labels, which say nothing about your voices" if model.simulated else ""
    typer.secho(f"{model.labels} labelled questions, {len(result.held_out.good)} more held out. {made_up}", bold=True)
    table = Table("", "cross-validated", "held out", title=None, box=None, header_style="dim")
    held, current = outcomes.accuracies(result.held_out), outcomes.accuracies(result.current)
    for name, value in outcomes.accuracies(expected).items():
        table.add_row(name, f"{value:.3f}", f"{held[name]:.3f}")
    if result.best_possible is not None:
        table.add_row("best possible (known truth)", f"{result.best_possible:.3f}", "")
    table.add_row("the router in use", "", f"{current['router']:.3f}")
    Console(width=None if Console().is_terminal else 100).print(table)
    briers, eces = outcomes.brier(expected), outcomes.ece(expected)
    for arm in expected.arms:
        typer.echo(f"{arm}: Brier {briers[arm]:.3f}, expected calibration error {eces[arm]:.3f}")
    areas = ", ".join(f"{name} {outcomes.aurc(curve):.3f}" for name, curve in outcomes.curves(expected).items())
    typer.echo(f"area under the risk-coverage curve (less is better): {areas}")
    said = outcomes.policy_figures(expected, model.margin, model.refuse_below)
    typer.echo(
        f"one voice answers {said['one']:.0%}, both {said['both']:.0%} (at least one of them right: "
        f"{said['pair_right']:.0%}), refused {said['refused']:.0%}; of what is answered {said['risk']:.0%} is wrong"
    )
    if not result.fitted.target_reached:
        typer.secho(f"a risk of {model.target_risk:.0%} cannot be kept by refusing: the lowest is used", fg="yellow")
    if needed := outcomes.labels_to_show(expected):
        typer.echo(f"about {needed} labels would show that it beats the best single voice by as much (80 % power)")


def _print_ending(result: Study, target: Path, written: bool) -> None:
    if written:
        typer.secho(f"Written to {target}: {result.verdict}. Running gateways use it now.", fg="green")
    elif result.better:
        typer.echo(f"Not written, the labels are simulated (--out FILE.json writes it all the same): {result.verdict}.")
    else:
        typer.secho(f"Kept what is there: {result.verdict}.", fg="yellow")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
