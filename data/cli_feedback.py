"""`docduet data feedback`: look through corrected answers before they are trained on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from data.feedback import Feedback, Review
    from data.settings import Settings

app = typer.Typer(
    help="Corrected answers: review them before they are used.", no_args_is_help=True, rich_markup_mode="markdown"
)

USES = {"sft": "training", "eval": "evaluation"}
Answers = Annotated[
    list[str] | None, typer.Argument(metavar="ANSWER_ID...", help="As `list` prints it; ID:1 is its second choice.")
]
Everything = Annotated[bool, typer.Option("--all", help="All corrections that nobody has decided on yet.")]
Json = Annotated[bool, typer.Option("--json", help="Print the corrections as JSON.")]


@app.command("list")
def list_corrections(
    ctx: typer.Context,
    status: Annotated[str, typer.Option(help="Only these: kept, proposed, promoted or rejected.")] = "",
    as_json: Json = False,
) -> None:
    """List the corrections: state, what each is used for, question, and the answer as it should have been.

    Example: `docduet data feedback list --status proposed`
    """
    from data import corrections
    from data.errors import ConfigError

    settings: Settings = ctx.obj
    found = corrections.load(settings.home.feedback)
    numbers = corrections.counts(found)
    if status and status not in numbers:
        raise ConfigError(f"no state {status!r}: choose one of {', '.join(numbers)}")
    _print([entry for entry in found if status in ("", entry.review)], as_json)
    if not as_json:
        typer.echo(", ".join(f"{count} {name}" for name, count in numbers.items()), err=True)


@app.command()
def promote(ctx: typer.Context, answers: Answers = None, everything: Everything = False, as_json: Json = False) -> None:
    """Use corrections: for training or as evaluation questions, whichever their question belongs to.

    Example: `docduet data feedback promote ans_5f2c81`
    """
    _decide(ctx, answers, everything, "promoted", as_json)


@app.command()
def reject(ctx: typer.Context, answers: Answers = None, everything: Everything = False, as_json: Json = False) -> None:
    """Do not use corrections; they can still be edited and proposed again.

    Example: `docduet data feedback reject ans_5f2c81`
    """
    _decide(ctx, answers, everything, "rejected", as_json)


def _decide(ctx: typer.Context, answers: list[str] | None, everything: bool, decision: Review, as_json: bool) -> None:
    from data import corrections
    from data.errors import ConfigError

    settings: Settings = ctx.obj
    path = settings.home.feedback
    if bool(answers) == everything:
        raise ConfigError("name the answers, as `docduet data feedback list` prints them, or give --all")
    keys = [_key(answer) for answer in answers or ()]
    if everything:
        found = corrections.load(path)
        keys = [corrections.key_of(entry) for entry in found if entry.review in ("kept", "proposed")]
        keys = [key for key in keys if key[0]]
    _print(corrections.review(path, keys, lambda _: decision) if keys else [], as_json)


def _key(answer: str) -> tuple[str, int]:
    id, _, choice = answer.partition(":")
    return id, int(choice) if choice.isdigit() else 0


def _print(found: list[Feedback], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([as_dict(entry) for entry in found], ensure_ascii=False, indent=2))
        return
    from data import corrections

    for entry in found:
        name = f"{entry.answer_id}:{entry.choice}" if entry.choice else entry.answer_id
        typer.echo(f"{name or '(by hand)'}  {entry.review}, for {USES[corrections.use_of(entry)]}")
        typer.echo(f"  asked      {_line(entry.question)}\n  answered   {_line(entry.answer)}")
        typer.echo(f"  corrected  {_line(entry.correction)}")


def as_dict(entry: Feedback) -> dict[str, Any]:
    """A correction for --json: its line, and what it is used for."""
    from data.corrections import use_of

    return entry.model_dump(mode="json", exclude={"withdrawn"}) | {"use": use_of(entry)}


def _line(text: str, most: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
