"""`docduet sft train`: from a recipe, a dataset and a model to a running trainer, or to its exact command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sft.training.cli_options import (
    AllowDrop,
    AsJson,
    Gpus,
    Nodes,
    Python,
    RecipeName,
    Settings,
    measure_with_progress,
    note,
)

if TYPE_CHECKING:
    from sft.training.cluster import Cluster
    from sft.training.dataset import TrainingData
    from sft.training.launch import Launch
    from sft.training.recipe import Recipe


def train(
    recipe: RecipeName,
    dataset: Annotated[Path, typer.Option(metavar="PATH", help="Folder from `docduet sft build`, or a .jsonl file.")],
    model: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the model to train (`docduet sft fetch`).")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for the run; several nodes must all see it.")],
    settings: Settings = None,
    dry_run: Annotated[bool, typer.Option(help="Print the exact command with its environment, start nothing.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last whole checkpoint.")] = False,
    allow_drop: AllowDrop = False,
    allow_busy: Annotated[
        bool, typer.Option(help="Start although other processes hold GPU memory that the run will need.")
    ] = False,
    gpus: Gpus = None,
    nnodes: Nodes = None,
    node_rank: Annotated[int | None, typer.Option(min=0, help="Which node this is, from 0.")] = None,
    master: Annotated[str, typer.Option(metavar="HOST[:PORT]", help="Address of node 0; the port is 29500.")] = "",
    python: Python = "",
    as_json: AsJson = False,
) -> None:
    """Fine-tune a model with ms-swift, as a recipe says; --dry-run works on any machine.

    Examples:

        docduet sft train --recipe qwen3-8b-1gpu --dataset datasets/first --model models/Qwen3-8B --out runs/first

        docduet sft train --recipe tiny-cpu --dataset d --model models/tiny --out runs/tiny --set num_train_epochs=1

        docduet sft train --recipe qwen3-8b-article-2x2 --dataset d --model m --out r --node-rank 0 --master gpu1
    """
    from data.errors import ConfigError
    from sft.training.cluster import find_cluster
    from sft.training.launch import check_model, launch, other_nodes
    from sft.training.recipe import load_recipe

    if as_json and not dry_run:
        raise ConfigError("--json belongs to --dry-run; a run writes what it does into its folder (run.json)")
    chosen = load_recipe(recipe, settings or ())
    count = chosen.machine.gpus if gpus is None else gpus
    cluster = find_cluster(chosen.machine.nodes, count, os.environ, nnodes=nnodes, node_rank=node_rank, master=master)
    model, out = model.expanduser(), out.expanduser().absolute()
    data = _dataset(dataset, dry_run)
    if not dry_run or model.exists():
        check_model(model, chosen)
        _check_lengths(data, chosen, model, allow_drop)
    else:
        note(f"no model in {model}: it is not looked at")
    ready = launch(
        chosen,
        data,
        cluster,
        model=model.absolute(),
        folder=out,
        python=python or sys.executable,
        cache=os.environ.get("MODELSCOPE_CACHE", ""),
        environ=os.environ,
    )
    if dry_run and resume:
        ready = _resumed(ready, dataset.expanduser())
    others = other_nodes(ready)
    if dry_run:
        _print(ready, others, cluster.rank, as_json)
        return
    _say(chosen, data, ready, others, cluster.rank)
    _check_gpus(chosen, cluster, model, allow_busy)
    from sft.training.run import run

    raise typer.Exit(run(ready, out, dataset=dataset.expanduser(), recipe=chosen.name, resume=resume))


def _dataset(path: Path, dry_run: bool) -> TrainingData:
    from sft.training.dataset import TrainingData, open_dataset

    path = path.expanduser().absolute()
    if dry_run and not path.exists():
        note(f"{path} does not exist: it is not looked at")
        folder = path.suffix != ".jsonl"
        return TrainingData(path / "train.jsonl" if folder else path, path / "val.jsonl" if folder else None, 0, 0)
    return open_dataset(path)


def _check_lengths(data: TrainingData, recipe: Recipe, model: Path, allow_drop: bool) -> None:
    from sft.training.dataset import check_lengths

    if data.samples:
        said = check_lengths(measure_with_progress(data, recipe, model), allow_drop)
        if said:
            note(said)


def _resumed(ready: Launch, dataset: Path) -> Launch:
    """The command that would go on with the run, from where it would."""
    from sft.training.folder import read_info, sha256
    from sft.training.resume import begin

    beginning = begin(ready, ready.cwd, read_info(ready.cwd), sha256(dataset), resume=True)
    for said in (*beginning.notes, *(["this run has finished: nothing would be started"] * beginning.finished)):
        note(said)
    return beginning.launch


def _print(ready: Launch, others: dict[int, Launch], rank: int, as_json: bool) -> None:
    nodes = dict(sorted({rank: ready, **others}.items()))
    if as_json:
        listed = [{"node": node, **one.as_dict(), "shell": one.shell()} for node, one in nodes.items()]
        typer.echo(json.dumps({"nodes": listed}, ensure_ascii=False, indent=2))
        return
    for node, one in nodes.items():
        if len(nodes) > 1:
            typer.echo(f"# node {node}" + (" (this one)" if node == rank else ""))
        typer.echo(one.shell())


def _say(recipe: Recipe, data: TrainingData, ready: Launch, others: dict[int, Launch], rank: int) -> None:
    """What should be known before it starts: the mode that is trained, and what the other nodes have to run."""
    from sft.training.launch import validates

    typer.secho(f"{recipe.name}: {data.samples:,} samples, {ready.world_size} processes", err=True)
    if not validates(recipe, data):
        note("the dataset has no validation samples: no validation loss is taken")
    if not data.thinking:
        note(
            "no sample holds <think>: this trains the model's non-thinking mode. Serve it so "
            '(chat_template_kwargs: {"enable_thinking": false}), or mix in samples that think'
        )
    if others and rank == 0:
        for other in others:
            typer.secho(f"on node {other}: {_command(sys.argv[1:], other, len(others) + 1, ready)}", err=True)


def _command(words: list[str], rank: int, nodes: int, ready: Launch) -> str:
    """This very command for another node."""
    import shlex

    kept, skip = [], False
    for word in words:
        if not skip and word.split("=")[0] not in ("--nnodes", "--node-rank", "--master"):
            kept.append(word)
        skip = word in ("--nnodes", "--node-rank", "--master")
    master = f"{ready.env['MASTER_ADDR']}:{ready.env['MASTER_PORT']}"
    return shlex.join(["docduet", *kept, "--nnodes", str(nodes), "--node-rank", str(rank), "--master", master])


def _check_gpus(recipe: Recipe, cluster: Cluster, model: Path, allow_busy: bool) -> None:
    """Raises ConfigError where GPUs are missing, BusyError where others leave too little of them to fit."""
    from data.errors import BusyError, ConfigError
    from sft.training.gpus import find_gpus
    from sft.training.plan import crowded

    if not cluster.gpus:
        return
    found = find_gpus()
    if len(found) < cluster.gpus:
        raise ConfigError(
            f"recipe {recipe.name} needs {cluster.gpus} GPUs, nvidia-smi finds {len(found)}: see "
            f"`docduet sft doctor --recipe {recipe.name}`; --dry-run prints the command for another machine"
        )
    found = found[: cluster.gpus]
    who = crowded(_needed(recipe, cluster, model), found)
    if who and not allow_busy:
        raise BusyError(f"{'; '.join(who)}. --allow-busy starts all the same")
    for said in who or [gpu.who() for gpu in found if gpu.busy]:
        note(said)


def _needed(recipe: Recipe, cluster: Cluster, model: Path) -> float:
    """GiB of each GPU, as planned; 0 for a model that the plan does not know."""
    from data.errors import ConfigError
    from sft.training.model import load_shape
    from sft.training.plan import plan

    try:
        return plan(recipe, cluster, load_shape(model)).needed
    except ConfigError:
        return 0.0
