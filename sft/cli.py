"""`docduet sft`: mounts its commands. Datasets: cli_build.py; fine-tuning: training/cli_*.py."""

from __future__ import annotations

import typer

from sft.cli_build import build
from sft.training.cli_doctor import doctor
from sft.training.cli_fetch import fetch
from sft.training.cli_plan import plan
from sft.training.cli_runs import compare, export, plot
from sft.training.cli_train import train

app = typer.Typer(
    help="Pages in, training data and fine-tuned models out.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.callback()
def root() -> None:
    """Pages in, training data and fine-tuned models out."""


for command in (build, doctor, fetch, plan, train, plot, export, compare):
    app.command()(command)
