"""`docduet sft plot | export | compare`: what follows a training run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from data.home import Home
    from sft.training.export import Exported

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or its name in DOCDUET_HOME/runs.")]


def run_folder(run: Path, home: Home) -> Path:
    """``run`` as it stands, or the run of that name in DOCDUET_HOME/runs."""
    run = run.expanduser()
    return home.runs / run if not run.exists() and (home.runs / run).exists() else run


def plot(
    ctx: typer.Context,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs' folders; several lie over each other.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to; default RUN/plots of the first.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print files and last figures as JSON.")] = False,
) -> None:
    """Draw the curves of training runs: loss, gradient norm, learning rate, time, tokens/s, MFU, memory.

    Examples:

        docduet sft plot runs/first

        docduet sft plot runs/first runs/second --out plots
    """
    from sft.training.plot import names
    from sft.training.plot import plot as draw
    from sft.training.records import read_run

    read = [read_run(run_folder(run, ctx.obj.home)) for run in runs]
    written = draw(read, out or read[0].folder / "plots")
    if as_json:
        figures = {name: run.metrics() for name, run in zip(names(read), read, strict=True)}
        typer.echo(json.dumps({"files": [str(path) for path in written], "runs": figures}, indent=2))
    else:
        typer.echo(f"{len(written) - 1} curves; open {written[-1]}")


def export(
    ctx: typer.Context,
    run: RunArgument,
    checkpoint: Annotated[
        int | None, typer.Option(metavar="STEP", help="Which checkpoint; default: the last whole one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write; default RUN/export/checkpoint-STEP.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Add a LoRA adapter to its base: one full model.")] = False,
    to_hf: Annotated[
        bool, typer.Option("--to-hf", help="Convert Megatron's own weights, with ms-swift's precision test.")
    ] = False,
    to_mcore: Annotated[
        bool, typer.Option("--to-mcore", help="Also write Megatron's format beside it, with the precision test.")
    ] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Publish it as the checkpoint that is served.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print folder and manifest as JSON.")] = False,
) -> None:
    """Make a run's checkpoint a folder that can be served: weights, tokenizer and a manifest of how it came to be.

    Examples:

        docduet sft export runs/first

        docduet sft export runs/lora --merge --out models/widget

        docduet sft export runs/first --checkpoint 400 --serve
    """
    from data.checkpoints import publish
    from sft.training.export import export as write

    folder = run_folder(run, ctx.obj.home)
    done = write(folder, out, step=checkpoint, merge=merge, from_mcore=to_hf, with_mcore=to_mcore)
    if serve:
        publish(ctx.obj.home, done.folder)
    if as_json:
        _print_json(done, serve)
    else:
        _print(done, serve, ctx.obj.home)


def _print_json(done: Exported, served: bool) -> None:
    said = {
        "folder": str(done.folder),
        "served": served,
        "notes": list(done.notes),
        "precision": dict(done.differences),
        "manifest": done.manifest.model_dump(mode="json"),
    }
    typer.echo(json.dumps(said, ensure_ascii=False, indent=2))


def _print(done: Exported, served: bool, home: Home) -> None:
    manifest = done.manifest
    kind = f"adapter of rank {manifest.lora_rank}" if manifest.kind == "adapter" else "full model"
    typer.echo(f"{done.folder}: {kind} of step {manifest.step}, trained on {len(manifest.pages)} pages")
    for direction, difference in done.differences:
        measured = "not tested" if difference is None else f"logits differ by {difference:g} on average"
        typer.echo(f"converted ({direction}): {measured}")
    for note in done.notes:
        typer.secho(f"note: {note}", fg="yellow", err=True)
    typer.echo(f"published in {home.current_sft}" if served else "publish it with --serve")


def compare(
    questions: Annotated[
        Path, typer.Argument(metavar="QUESTIONS", help='JSON lines with "question" and "inside": true or false.')
    ],
    base: Annotated[str, typer.Option(metavar="URL", help="OpenAI-compatible server of the base model.")],
    tuned: Annotated[str, typer.Option(metavar="URL", help="The tuned model's server; may be the same one.")],
    base_model: Annotated[str, typer.Option(metavar="NAME", help="Default: the first that the server lists.")] = "",
    tuned_model: Annotated[str, typer.Option(metavar="NAME", help="Default: the first that the server lists.")] = "",
    out: Annotated[Path, typer.Option(metavar="FILE", help="The report.")] = Path("before-after.md"),
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer in tokens.")] = 1024,
    api_key_env: Annotated[str, typer.Option(metavar="NAME", help="Environment variable with the API key.")] = "",
    thinking: Annotated[bool, typer.Option("--thinking", help="Let the models think before they answer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Ask fixed questions before and after training, and write both answers side by side, with their lengths.

    Examples:

        docduet sft compare questions.jsonl --base http://127.0.0.1:8000/v1 --tuned http://127.0.0.1:8001/v1

        docduet sft compare held-out.jsonl --base URL --base-model base --tuned URL --tuned-model sft
    """
    from data.errors import ConfigError
    from sft.training.questions import Server, api_key, ask_all, read_questions
    from sft.training.report import Side, figures, report

    asked, key = read_questions(questions), api_key(api_key_env)
    sides = []
    with _progress(2 * len(asked)) as done:
        for label, url, name in (("before", base, base_model), ("after", tuned, tuned_model)):
            model, answers = ask_all(Server(url, name, key, thinking), asked, max_tokens, done=done)
            sides.append(Side(label, model, url, answers))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(report(asked, *sides), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {out} ({error.strerror}): give another --out") from None
    said: dict[str, Any] = {
        side.label: {where: figures(side, asked, where == "inside") for where in ("inside", "outside")}
        for side in sides
    }
    typer.echo(json.dumps({"report": str(out), **said}, indent=2) if as_json else f"written: {out}")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Asking", total=total)
        yield lambda: bar.advance(task)
