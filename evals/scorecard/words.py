"""How the scorecard says what it says: names, values and differences in one language. The texts are in texts.py."""

from __future__ import annotations

from collections.abc import Sequence

from evals.look.text import line
from evals.look.words import Words as Shared
from evals.scorecard.measures import BY_NAME
from evals.scorecard.results import Column, Contrast, Difference, Gate, Score, Scorecard, Side, Skipped, Verdict, Worst
from evals.scorecard.texts import TEXTS


class Words(Shared):
    """The scorecard in one language: ``en`` or ``zh``."""

    texts = TEXTS

    def voice(self, column: Column) -> str:
        """What the arm is called, whatever run it is of."""
        return self.named("voice", "quote" if column.quoting else column.arm)

    def column(self, column: Column) -> str:
        """With the run's label, where there are several runs."""
        return f"{self.voice(column)} · {column.label}" if self.tag(column) else self.voice(column)

    def tag(self, column: Column) -> str:
        """The run's label, unless the name says as much."""
        return "" if column.quoting and column.label.lower() in ("quote", "quoting") else column.label

    def before(self, card: Scorecard, contrast: Contrast) -> str:
        return self.column(card.columns[contrast.before])

    def after(self, card: Scorecard, contrast: Contrast) -> str:
        return self.column(card.columns[contrast.after])

    def contrast(self, card: Scorecard, contrast: Contrast) -> str:
        """A title."""
        first, second = card.columns[contrast.before], card.columns[contrast.after]
        if contrast.kind == "run":
            return self("contrast.run", name=self.voice(second), first=first.label, second=second.label)
        return self("contrast.arm", before=self.column(first), after=self.column(second))

    def joined(self, names: Sequence[str]) -> str:
        return self("list").join(names)

    def measures(self, names: Sequence[str]) -> str:
        """As they stand in a sentence."""
        return self.joined([self(name).lower() for name in names])

    def shown(self, measure: str, value: float | None) -> str:
        """A value of a measure: ``82 %``, ``0.84``, ``1.4 s``."""
        if value is None:
            return "–"
        form = BY_NAME[measure].form
        if BY_NAME[measure].share:
            return self.percent(value)
        return self.time(value) if form == "ms" else f"{value:.2f}" if form == "ratio" else f"{value:,.0f}"

    def interval(self, measure: str, score: Score) -> str:
        """``74 – 87 %``, ``0.8 s – 1.4 s``; nothing where nothing is known."""
        if score.value is None or (score.low == score.high and not BY_NAME[measure].share):
            return ""
        low, high = self.shown(measure, score.low), self.shown(measure, score.high)
        return f"{low.rstrip(' %')} – {high}" if BY_NAME[measure].share else f"{low} – {high}"

    def points(self, share: float, signed: bool = False) -> str:
        """A difference of shares in percentage points: ``4.2``, ``+4.2``, ``−0.8``."""
        text = f"{abs(100 * share):.1f}"
        return f"{'−' if share < 0 else '+' if share > 0 else ''}{text}" if signed else text

    def change(self, one: Difference, value: float) -> str:
        """A difference in the unit of its measure, with its sign."""
        form = BY_NAME[one.measure].form
        if BY_NAME[one.measure].share:
            return self.points(value, signed=True)
        if value in (float("inf"), float("-inf")):
            return "?"
        size = (
            self.time(abs(value)) if form == "ms" else f"{abs(value):.2f}" if form == "ratio" else f"{abs(value):,.0f}"
        )
        return f"{'−' if value < 0 else '+' if value > 0 else ''}{size}"

    def range(self, one: Difference) -> str:
        """The interval of a difference."""
        return self("range", low=self.change(one, one.low), high=self.change(one, one.high))

    def gate_lines(self, gate: Gate) -> list[str]:
        """What failed, and what could not be compared."""
        return [self.gate_line(verdict) for verdict in gate.failures] + [self.skipped(one) for one in gate.skipped]

    def skipped(self, one: Skipped) -> str:
        """What the gate left out."""
        name = self.named("voice", one.arm)
        if one.measures:
            return self("gate.unmeasured", name=name, names=self.measures(one.measures))
        return self("gate.alone", name=name, file=one.file)

    def gate_line(self, verdict: Verdict) -> str:
        """One measure that failed."""
        one = verdict.difference
        return self(
            "gate.line",
            name=self.named("voice", verdict.arm) + (f" · {line(verdict.label)}" if verdict.label else ""),
            measure=self(one.measure),
            first=self.percent(one.before, 1),
            second=self.percent(one.after, 1),
            points=self.points(one.value, signed=True),
            low=self.points(one.low, signed=True),
            high=self.points(one.high, signed=True),
        )

    def corner(self, quoting: bool, corner: str, share: float | None) -> str:
        """A corner of the triangle."""
        if share is not None:
            return self.percent(share)
        return self("no_model" if quoting and corner == "general" else "unmeasured")

    def tags(self, found: Worst) -> list[str]:
        """What a question is."""
        told = [found.id, self.named("lang", found.lang), self.named("kind", found.kind)]
        if found.answerable is False and found.kind != "unanswerable":
            told.append(self("is.unanswerable"))
        return [text for text in told if text]

    def badges(self, side: Side) -> list[str]:
        """What an answer is."""
        told = [self("score", score=self.percent(side.score))]
        told += [self("is.refused")] if side.refused else []
        told += [self("is.degraded", why=side.degraded)] if side.degraded else []
        told += [self("is.degenerate", how=self(f"how.{side.degenerate}"))] if side.degenerate else []
        return told

    FACTS = ("run", "set", "model", "quoted", "checkpoint", "dataset", "index", "day")

    def provenance(self, card: Scorecard) -> tuple[list[str], list[list[str]]]:
        """Heads and rows: what each column is made of. What is known of none is left out."""
        found = [self._facts(column) for column in card.columns]
        known = [n for n in range(len(self.FACTS)) if any(facts[n] for facts in found)]
        heads = [self("voice"), *(self(f"col.{self.FACTS[n]}") for n in known)]
        rows = [[self.column(card.columns[at]), *(facts[n] or "–" for n in known)] for at, facts in enumerate(found)]
        return heads, rows

    def _facts(self, column: Column) -> list[str]:
        """In the order of FACTS; "" where nothing is known."""
        step = "" if column.checkpoint_step is None else self("step", step=f"{column.checkpoint_step:,}")
        checkpoint = " · ".join(filter(None, (column.checkpoint, step)))
        model = column.model or column.base_model
        quoted = self.joined([f"{reason} {count}" for reason, count in column.fallbacks.items()])
        made = (checkpoint, column.dataset_sha256[:12], column.generation, column.started_at[:10])
        return [column.file, column.set, model, quoted, *made]
