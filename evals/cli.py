"""`docduet eval`: measure, with question sets. Each command is a module of its own; this one puts them together."""

from __future__ import annotations

import typer

from evals.cli_check import check
from evals.cli_general import general
from evals.cli_judge import judge
from evals.cli_make import make
from evals.cli_run import run
from evals.cli_scorecard import scorecard

app = typer.Typer(help="Question sets, scores and scorecards.", no_args_is_help=True, rich_markup_mode="markdown")
app.command()(run)
app.command()(check)
app.command()(scorecard)
app.command()(general)
app.command()(judge)
app.command()(make)


@app.callback()
def root() -> None:
    """Question sets, scores and scorecards."""
