"""`docduet sft doctor`: what training needs, and what is missing here."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sft.training.cli_options import AsJson, Python

if TYPE_CHECKING:
    from data.settings import Settings

COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


def doctor(
    ctx: typer.Context,
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help="Only what this recipe needs; default: all that Megatron needs.")
    ] = "",
    python: Python = "",
    as_json: AsJson = False,
) -> None:
    """Look for all that training needs: GPUs, driver, packages, disk; each lack with its remedy. Exits with 1 if any.

    Examples:

        docduet sft doctor

        docduet sft doctor --recipe tiny-cpu --json
    """
    from sft.training.doctor import examine
    from sft.training.recipe import load_recipe

    settings: Settings = ctx.obj
    checks = examine(load_recipe(recipe) if recipe else None, python or sys.executable, settings.home.root / "runs")
    missing = [check for check in checks if check.state == "missing"]
    if as_json:
        typer.echo(json.dumps({"ok": not missing, "checks": [check.as_dict() for check in checks]}, indent=2))
        raise typer.Exit(1 if missing else 0)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "found", "remedy")
    for check in checks:
        table.add_row(Text(check.state, style=COLOURS[check.state]), check.name, Text(check.found), Text(check.fix))
    Console(width=None if Console().is_terminal else 120).print(table)
    typer.echo(f"{len(missing)} missing: training cannot start" if missing else "nothing is missing")
    raise typer.Exit(1 if missing else 0)
