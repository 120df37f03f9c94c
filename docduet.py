"""Front door: one Typer app that mounts each package's commands and hands each its table of docduet.toml.

Run `docduet --help`. Heavy imports stay inside the commands, so help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from data.errors import DocDuetError

app = typer.Typer(
    name="docduet",
    help="Two voices answer questions about your product docs: one learned them, one reads them and cites its sources.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"docduet {version('docduet')}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Configuration file; default ./docduet.toml.")] = None,
    profile: Annotated[str, typer.Option(help="Defaults for this kind of machine: laptop, single-gpu or cluster.")] = "laptop",
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Read the configuration; every command gets its own table of it."""
    from data.config import DataConfig
    from data.settings import Settings
    from rag.config import RagConfig
    from serving.config import ServingConfig
    from ui.config import UiConfig

    tables = {"data": DataConfig, "rag": RagConfig, "serving": ServingConfig, "ui": UiConfig}
    ctx.obj = Settings(tables, path=config, profile=profile)


def main() -> None:
    """Run the command line; a DocDuetError is printed in one line, without a traceback, and exits 1."""
    try:
        app()
    except DocDuetError as error:
        typer.secho(f"docduet: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
