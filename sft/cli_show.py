"""What `docduet sft build` shows: a progress line on stderr, what was made, what would be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

if TYPE_CHECKING:
    from sft.card import Facts
    from sft.previous import Diff
    from sft.teacher.estimate import Estimate

SHOWN = 20
STAGES = {"teach": "Asking the teacher", "draft": "Writing samples", "mix": "Mixing", "write": "Writing the dataset"}


class Show(Protocol):
    """Progress: the stage, what is done, of how much (0: not known), and a note in place of a count of samples."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress() -> Iterator[Show]:
    """A line on stderr that says what is being done; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading pages", total=None, note="")

        def show(stage: str, done: int, total: int, note: str = "") -> None:
            said = note or (f"{done:,} samples" if done else "")
            bar.update(task, description=STAGES[stage], completed=done, total=total or None, note=said)

        yield show


def made(facts: Facts, out: Path | None, as_json: bool) -> None:
    """A table of shapes, what was turned down, what to beware of. ``out`` None: it was a dry run."""
    if as_json:
        typer.echo(json.dumps(facts.as_dict(), ensure_ascii=False, indent=2))
        return
    _shapes(facts)
    gates = ", ".join(f"{gate} {count}" for gate, count in facts.reject_counts.items()) or "none"
    typer.echo(f"Turned down: {gates}")
    for warning in facts.warnings():
        typer.secho(f"note: {warning}", fg="yellow", err=True)
    count = f"{len(facts.split.train)} samples to train on, {len(facts.split.val)} to validate with"
    where = f"in {out}: read {out}/card.md" if out else "would be written (--dry-run)"
    typer.echo(f"{count}, {where} ({facts.seconds:.1f} s)")


def _shapes(facts: Facts) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("shape", *(head for head in ("samples", "tokens", "wanted", "got")), title_justify="left")
    total = sum(facts.mixed.tokens.values()) or 1
    counts = facts.as_dict()["samples"]
    assert isinstance(counts, dict)
    for shape, share in facts.wanted.items():
        tokens = facts.mixed.tokens.get(shape, 0)
        table.add_row(shape, str(counts.get(shape, 0)), f"{tokens:,}", share, f"{tokens / total:.1%}")
    Console(width=None if Console().is_terminal else 100).print(table)


def forecast(changed: Diff | None, cost: Estimate | None, as_json: bool, moved: int = 0) -> None:
    """What has changed, what a teacher would be asked, or both. ``moved``: samples, from validation to training."""
    if moved:
        said = f"{moved} samples would move from validation to training, as the validation share is 0"
        typer.secho(f"note: {said}", fg="yellow", err=True)
    if as_json:
        found: dict[str, Any] = changed.as_dict() if changed else {}
        asked = cost.as_dict() if cost else {}
        both = {**found, "teacher": asked} if changed and cost else {**found, **asked}
        typer.echo(json.dumps(both, ensure_ascii=False, indent=2))
        return
    if changed:
        _changes(changed)
    if cost:
        typer.echo(f"The teacher would be asked: {cost}")


def _changes(diff: Diff) -> None:
    found = diff.as_dict()
    for page in found["pages"]:
        typer.echo(f"{page['change']:8} {page['samples']:5}  {page['url']}")
    for sample in found["samples"][:SHOWN]:
        typer.echo(f"  {sample['split']:5} {sample['shape']:15} {sample['why']:22} {sample['question'][:70]}")
    more = len(found["samples"]) - SHOWN
    if more > 0:
        typer.echo(f"  ... and {more} more (--json lists all)")
    lost, pages = len(found["samples"]), len(found["pages"])
    typer.echo(f"{pages} pages changed, came or went; {lost} samples no longer hold, {found['kept']} are kept")
