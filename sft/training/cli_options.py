"""What the commands before a training run have in common: options, and the length check with its progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sft.training.dataset import Lengths, TrainingData
    from sft.training.recipe import Recipe

RecipeName = Annotated[str, typer.Option("--recipe", metavar="NAME", help="A preset's name, or a .yaml file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one of ms-swift's options in the recipe; may be repeated."),
]
Gpus = Annotated[int | None, typer.Option(min=0, help="GPUs of each node; default: the recipe's.")]
Nodes = Annotated[
    int | None, typer.Option(min=1, help="How many nodes train together; default: from torchrun or SLURM.")
]
AllowDrop = Annotated[bool, typer.Option(help="Go on although samples are too long and will be dropped.")]
Python = Annotated[
    str, typer.Option(metavar="FILE", help="The interpreter that ms-swift is installed for; default: this one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def measure_with_progress(data: TrainingData, recipe: Recipe, model: Path | None) -> Lengths:
    """Tokens of each sample, by the tokenizer of ``model`` (without one: an estimate), with a bar on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    from sft.tokens import load_counter
    from sft.training.dataset import measure

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Counting tokens", total=data.samples)
        counter = load_counter(model)
        limit = int(recipe.flag("max_length", 2048))
        return measure(data, counter, limit, lambda done: bar.update(task, completed=done))


def note(text: str) -> None:
    typer.secho(f"note: {text}", fg="yellow", err=True)
