"""Before and after training, side by side: the same questions asked of the base and of the tuned model, as Markdown.

The article that DocDuet grew from showed this in screenshots. Here: what became of answers inside the docs and outside
(a good tuned model answers the first and refuses the second), how long they are in tokens, and every answer in full.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import mean, median

from sft.training.questions import Answer, Question


@dataclass(frozen=True)
class Side:
    """One model's answers. ``label``: before or after."""

    label: str
    model: str
    url: str
    answers: Sequence[Answer]

    def of(self, questions: Sequence[Question], inside: bool) -> list[Answer]:
        return [answer for question, answer in zip(questions, self.answers, strict=True) if question.inside is inside]


def figures(side: Side, questions: Sequence[Question], inside: bool) -> dict[str, float | int | None]:
    """For --json and the report's table; lengths over the answers that are there."""
    answers = side.of(questions, inside)
    good = [answer for answer in answers if not answer.error]
    lengths = [answer.tokens for answer in good]
    return {
        "questions": len(answers),
        "refused": sum(answer.refused for answer in good),
        "median_tokens": median(lengths) if lengths else None,
        "mean_tokens": round(mean(lengths), 1) if lengths else None,
        "cut": sum(answer.cut for answer in good),
        "failed": len(answers) - len(good),
    }


def report(questions: Sequence[Question], before: Side, after: Side) -> str:
    """The whole report."""
    parts = [
        "# Before and after training",
        f"{len(questions)} questions, asked on {datetime.now(UTC):%Y-%m-%d}. Before: {_code(before.model)} at "
        f"{_code(before.url)}. After: {_code(after.model)} at {_code(after.url)}. No passages, temperature 0.",
        _table(questions, before, after),
    ]
    if not all(answer.exact for side in (before, after) for answer in side.answers if not answer.error):
        parts.append("A server gave no token counts: the lengths of its answers are estimates.")
    for inside, title in ((True, "Inside the docs"), (False, "Outside the docs")):
        chosen = [number for number, question in enumerate(questions) if question.inside is inside]
        if chosen:
            parts.append(f"## {title}")
            parts += [_question(number, questions[number], before, after) for number in chosen]
    return "\n\n".join(parts) + "\n"


def _table(questions: Sequence[Question], before: Side, after: Side) -> str:
    heads = ("questions", "refused", "median tokens", "mean tokens", "cut off", "failed")
    lines = [f"| | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for inside, where in ((True, "inside"), (False, "outside")):
        for side in (before, after):
            values = figures(side, questions, inside)
            if values["questions"]:
                cells = ["-" if value is None else f"{value:g}" for value in values.values()]
                lines.append(f"| {where}, {side.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _question(number: int, question: Question, before: Side, after: Side) -> str:
    heading = " ".join(question.text.split()).replace("<", "&lt;").replace("[", "\\[")
    return "\n\n".join(
        [f"### {number + 1}. {heading}", *(_answer(side.label, side.answers[number]) for side in (before, after))]
    )


def _answer(label: str, answer: Answer) -> str:
    """In a fence longer than any in it: what a model writes is shown and never rendered."""
    if answer.error:
        return f"**{label}**: failed, {_code(answer.error)}"
    said = f"{'' if answer.exact else 'about '}{answer.tokens} tokens"
    marks = [said, *(["refused"] if answer.refused else []), *(["cut off"] if answer.cut else [])]
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", answer.text)), default=0) + 1)
    return f"**{label}** ({', '.join(marks)}):\n\n{fence}text\n{answer.text}\n{fence}"


def _code(text: str) -> str:
    """Inline code, whatever is in it."""
    flat = " ".join(text.split())
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", flat)), default=0) + 1)
    return f"{ticks} {flat} {ticks}" if "`" in flat else f"`{flat}`"
