"""`docduet sft plan`: does it fit, how long will it take, is anything lost?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sft.training.cli_options import AllowDrop, AsJson, Gpus, Nodes, RecipeName, Settings, measure_with_progress

if TYPE_CHECKING:
    from sft.training.dataset import Lengths
    from sft.training.plan import Duration, Plan
    from sft.training.recipe import Recipe

PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer's states",
    "activations": "activations",
    "logits": "logits and their gradient",
    "overhead": "gaps and workspaces",
}


def plan(
    recipe: RecipeName,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Folder from `docduet sft build`, or a .jsonl file; for the time."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the model; default for qwen3-8b recipes: its numbers.")
    ] = None,
    gpu_memory: Annotated[
        float | None, typer.Option(min=1, help="GiB of each GPU; default: the recipe's. A 141 GB H200 has 139.8.")
    ] = None,
    settings: Settings = None,
    gpus: Gpus = None,
    nnodes: Nodes = None,
    allow_drop: AllowDrop = False,
    as_json: AsJson = False,
) -> None:
    """Memory of each GPU, time and disk, before anything starts; exits with 1 when it will not fit.

    Examples:

        docduet sft plan --recipe qwen3-8b-1gpu

        docduet sft plan --recipe qwen3-8b-1gpu --dataset datasets/first --model models/Qwen3-8B --gpu-memory 80
    """
    from data.errors import ConfigError
    from sft.training.cluster import Cluster
    from sft.training.gpus import find_gpus
    from sft.training.model import load_shape
    from sft.training.plan import plan as make_plan
    from sft.training.recipe import load_recipe

    chosen = load_recipe(recipe, settings or ())
    nodes = nnodes or chosen.machine.nodes
    cluster = Cluster(nodes, chosen.machine.gpus if gpus is None else gpus, master="node0" if nodes > 1 else "")
    if model is None and not chosen.name.startswith("qwen3-8b"):
        raise ConfigError(f"recipe {chosen.name} is for any model: give --model the folder of the one to plan for")
    shape = load_shape(model.expanduser() if model else None)
    lengths, dropped = _lengths(dataset, chosen, model, allow_drop)
    limit = gpu_memory or (chosen.machine.memory if cluster.gpus else _ram())
    made = make_plan(chosen, cluster, shape, limit, lengths, find_gpus())
    if as_json:
        tokens = _tokens(lengths)
        typer.echo(json.dumps({**made.as_dict(), "parameters": shape.parameters, "dataset": tokens}, indent=2))
    else:
        _print(made, shape.parameters, lengths, dropped)
    raise typer.Exit(0 if made.fits else 1)


def _lengths(dataset: Path | None, chosen: Recipe, model: Path | None, allow_drop: bool) -> tuple[Lengths | None, str]:
    from sft.training.dataset import check_lengths, open_dataset

    if dataset is None:
        return None, ""
    found = measure_with_progress(open_dataset(dataset), chosen, model.expanduser() if model else None)
    return found, check_lengths(found, allow_drop)


def _tokens(lengths: Lengths | None) -> dict[str, object] | None:
    if lengths is None:
        return None
    return {
        "samples": len(lengths.tokens),
        "tokens": sum(lengths.tokens),
        "longest": max(lengths.tokens),
        "too_long": len(lengths.too_long),
        "exact": lengths.exact,
    }


def _ram() -> float:
    """GiB of this machine: what a CPU recipe has."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / 1024**3


def _print(made: Plan, parameters: int, lengths: Lengths | None, dropped: str) -> None:
    from rich.console import Console
    from rich.table import Table

    machine, parts = made.machine, made.parts
    where = (
        f"{machine.nodes} x {machine.gpus} GPUs with {made.limit:g} GiB"
        if machine.gpus
        else f"CPU with {made.limit:.1f} GiB"
    )
    typer.echo(f"{made.recipe.name}: {_count(parameters)} parameters on {where}")
    split = f"tensor {parts.tensor}, pipeline {parts.pipeline}, context {parts.context}, data {parts.data}"
    packed = "packed " if parts.packing else ""
    typer.echo(f"  parallel  {split}")
    batch = f"{parts.global_batch} {packed}sequences a step, {parts.micro_batch} at once"
    typer.echo(f"  batch     {batch}, of {parts.sequence:,} tokens at most")
    table = Table("memory of the fullest GPU" if machine.gpus else "memory", "GiB", title_justify="left")
    table.columns[1].justify = "right"
    for name, value in made.memory.gib().items():
        if name != "total" and value:
            table.add_row(PARTS[name], f"{value:.1f}")
    table.add_row("at the peak", f"{made.memory.gib()['total']:.1f}", style="bold")
    Console(width=None if Console().is_terminal else 100).print(table)
    _print_verdict(made)
    size = f"{made.checkpoint:.0f} GiB" if made.checkpoint >= 1 else f"{made.checkpoint * 1024:.0f} MiB"
    typer.echo(f"  disk      {size} a checkpoint")
    if lengths:
        how = "" if lengths.exact else " (estimated: give --model for its tokenizer)"
        counts = f"{len(lengths.tokens):,} samples, {sum(lengths.tokens):,} tokens"
        typer.echo(f"  dataset   {counts}, longest {max(lengths.tokens):,}{how}")
    if made.duration:
        typer.echo(f"  time      {_time(made.duration)}")
    for said in (dropped, *made.notes):
        if said:
            typer.secho(f"note: {said}", fg="yellow", err=True)


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} billion" if parameters >= 1e9 else f"{parameters / 1e6:.1f} million"


def _print_verdict(made: Plan) -> None:
    driver = " with the driver's own" if made.machine.gpus else ""
    said = f"{made.needed:.1f} of {made.limit:.1f} GiB{driver}"
    if made.fits:
        typer.secho(f"  it fits   {said}", fg="green")
        return
    typer.secho(f"  too much  {said}", fg="red")
    if made.advice:
        typer.echo(f"  change    {' '.join(made.advice)}  ({made.advised:.1f} GiB then)")
    else:
        typer.echo("  change    more or larger GPUs: no option of this recipe makes it fit")


def _time(duration: Duration) -> str:
    steps = f"{duration.steps:,} steps, {duration.tokens:,} tokens in {duration.epochs:g} epochs"
    if duration.seconds is None:
        return f"{steps}; how long they take on this CPU is not known before it runs"
    hours = duration.seconds / 3600
    return (
        f"about {hours:.1f} h ({steps}); an estimate from rates measured on one H200, an A100 takes three times as long"
    )
