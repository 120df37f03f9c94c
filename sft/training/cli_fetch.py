"""`docduet sft fetch`: bring a model here."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sft.training.cli_options import AsJson

if TYPE_CHECKING:
    from data.settings import Settings


class Hub(StrEnum):
    huggingface = "huggingface"
    modelscope = "modelscope"


def fetch(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="OWNER/NAME, such as Qwen/Qwen3-8B.")],
    hub: Annotated[Hub, typer.Option("--from", help="The hub to load from.")] = Hub.huggingface,
    endpoint: Annotated[str, typer.Option(metavar="URL", help="A mirror of the hub.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the model; default: DOCDUET_HOME/models/NAME.")
    ] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "",
    as_json: AsJson = False,
) -> None:
    """Load a model, checked against the hub's hashes; run it again after an interruption, it goes on.

    Examples:

        docduet sft fetch Qwen/Qwen3-8B --out models/Qwen3-8B

        docduet sft fetch Qwen/Qwen3-8B --from modelscope

        docduet sft fetch Qwen/Qwen3-8B --endpoint https://hf-mirror.com
    """
    from sft.training.fetch import fetch as fetch_model

    settings: Settings = ctx.obj
    folder = out or settings.home.root / "models" / model.rpartition("/")[2]
    fetched = fetch_model(model, folder, hub.value, endpoint, revision)
    if as_json:
        typer.echo(json.dumps(fetched.as_dict(), indent=2))
        return
    size = sum(file.size for file in fetched.files)
    typer.echo(
        f"{fetched.repo} {fetched.commit[:12]} is whole in {fetched.folder}: {len(fetched.files)} files, "
        f"{size / 1e9:.2f} GB, {fetched.loaded / 1e9:.2f} GB of them loaded now"
    )
