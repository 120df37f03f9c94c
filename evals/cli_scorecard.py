"""`docduet eval scorecard`: arms and checkpoints side by side, as pages and a picture, and the gate for CI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from data.home import Home
    from evals.scorecard.results import Scorecard

INCOMPARABLE = 2
"""Exit code of --gate where nothing can be said: runs that cannot be compared, a folder that cannot be written; 1 is
for a run that is worse, and for that alone."""


def scorecard(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Files or labels of evaluation runs, what came before first; default: the newest. General-ability "
            "results may be among them; those in DOCDUET_HOME are found by label.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write scorecard.html, .md and .png into this folder.")
    ] = None,
    gate: Annotated[
        str, typer.Option(metavar="BASELINE", help="Exit with 1 where a measure is worse than in this run.")
    ] = "",
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="How much worse --gate lets a measure be, as a share.")
    ] = 0.02,
    lang: Annotated[str, typer.Option(help="Language of the scorecard: en or zh.")] = "en",
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scorecard as JSON.")] = False,
) -> None:
    """Every voice and checkpoint side by side: facts, steps, citations, refusals, length, speed, general ability.

    With --gate, the exit code is 0 where nothing is worse than in the baseline beyond margin and chance, 1 where
    something is, and 2 where the runs cannot be compared.

    Examples:

        docduet eval scorecard --out scorecard/

        docduet eval scorecard before.json after.json --out scorecard/ --lang zh

        docduet eval scorecard after.json --gate before.json --margin 0.02
    """
    from data.errors import DocDuetError
    from evals.look.words import LANGUAGES

    if lang not in LANGUAGES:
        raise typer.BadParameter(f"choose from {', '.join(LANGUAGES)}", param_hint="--lang")
    try:
        made = _made(ctx.obj.home, runs or [], gate, margin, seed)
        if out:
            _write(made, out, lang)
    except DocDuetError as error:
        if not gate:
            raise
        typer.echo(f"docduet: {error}", err=True)
        raise typer.Exit(INCOMPARABLE) from None
    if as_json:
        typer.echo(json.dumps(made.as_dict(), ensure_ascii=False, indent=2))
    else:
        show(made, lang)
    if made.gate and not made.gate.passed:
        raise typer.Exit(1)


def _made(home: Home, names: list[str], gate: str, margin: float, seed: int) -> Scorecard:
    from evals.scorecard.build import build
    from evals.scorecard.inputs import find, one_run

    found = find(names, home)
    baseline = one_run(gate, home) if gate else None
    before = (baseline,) if baseline and baseline not in found.runs else ()
    return build((*before, *found.runs), found.general, found.problems, seed, baseline, margin)


def _write(made: Scorecard, folder: Path, lang: str) -> None:
    from data.errors import ConfigError
    from evals.scorecard import save_png, to_html, to_markdown

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("html", to_html(made, lang)), ("md", to_markdown(made, lang))):
            (folder / f"scorecard.{name}").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}; choose another --out") from None
    save_png(made, folder / "scorecard.png", lang)
    typer.echo(f"wrote {folder / 'scorecard.html'}, .md and .png", err=True)


def show(made: Scorecard, lang: str) -> None:
    """In the terminal: the sentence, the figures, the gate."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from evals.scorecard.measures import MEASURES
    from evals.scorecard.words import Words

    words, console = Words(lang), Console(width=None if Console().is_terminal else 160, highlight=False)
    console.print(made.sentence[lang], markup=False)
    table = Table(words("measure"), *(escape(words.column(column)) for column in made.columns))
    for measure in MEASURES:
        scores = made.all.scores[measure.name]
        if any(score.value is not None for score in scores):
            shown = [(words.shown(measure.name, score.value), words.interval(measure.name, score)) for score in scores]
            table.add_row(words(measure.name), *(f"{value} ({ends})" if ends else value for value, ends in shown))
    console.print(table)
    if made.peer[lang]:
        console.print(made.peer[lang], markup=False)
    console.print(made.limits[lang], markup=False)
    for problem in made.problems:
        console.print(problem, style="yellow", markup=False)
    if gate := made.gate:
        name, told = ("passed" if gate.passed else "failed"), {"margin": words.points(gate.margin)}
        told |= {"baseline": gate.baseline} | ({"n": str(len(gate.compared))} if gate.passed else {})
        console.print(f"{words(f'gate.{name}')}. {words(f'gate.{name}.how', **told)}", markup=False)
        for line in words.gate_lines(gate):
            console.print(f"  {line}", markup=False)
