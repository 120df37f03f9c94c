"""The dataset's card: what was made, what was turned down, what to beware of; before a GPU hour is spent."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from sft.charts import save_charts
from sft.mixture import Mixed, Mixture
from sft.split import Split
from sft.tokens import Counter
from sft.types import Reject, Sample, Spent


@dataclass(frozen=True)
class Facts:
    """Everything a card says. ``base_lengths``: tokens of the base model's own answers, where given. ``notes``: what
    the writers have to say. ``kept``: how many samples an earlier dataset gave (None: there was none); ``released``:
    how many of them come from its validation set and are learned now."""

    mixture: Mixture
    mixed: Mixed
    split: Split
    val_share: float
    rejects: Sequence[Reject]
    drafts: int
    page_urls: Sequence[str]
    other_languages: int
    counter: Counter
    max_length: int
    evaluation_questions: int
    base_lengths: Sequence[int] = ()
    notes: Sequence[str] = ()
    kept: int | None = None
    released: int = 0
    teacher: Spent | None = None
    seconds: float = 0.0

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of every answer of the dataset."""
        return [self.counter.count(said) for sample in self.mixed.samples for said in sample.said]

    @property
    def wanted(self) -> dict[str, str]:
        """Shape -> the share of tokens that the mixture gives it; "all" for what comes on top."""
        shares = {shape: f"{share:.1%}" for shape, share in self.mixture.shares.items()}
        return shares | {shape: "all" for shape in self.mixed.tokens if shape not in shares}

    @property
    def reject_counts(self) -> dict[str, int]:
        return dict(Counted(reject.gate for reject in self.rejects).most_common())

    @cached_property
    def page_counts(self) -> dict[str, int]:
        """Page -> samples made from it."""
        counts = dict.fromkeys(self.page_urls, 0)
        for sample in self.mixed.samples:
            for url in sample.pages:
                counts[url] = counts.get(url, 0) + 1
        return counts

    @property
    def pages_set_aside(self) -> int:
        """Pages that are in validation, so that nothing of them is learned."""
        return len({url for sample in self.split.val for url in sample.pages})

    @property
    def think_share(self) -> float:
        """Share of the teacher's samples that think."""
        taught = [sample.thinks for sample in self.mixed.samples if sample.generator.startswith("teacher:")]
        return sum(taught) / max(1, len(taught))

    def warnings(self) -> list[str]:
        """What a person should know before training."""
        found = []
        middle = median(self.lengths) if self.lengths else 0
        if self.base_lengths and middle * 2 < median(self.base_lengths):
            found.append(
                f"The median answer has {middle:.0f} tokens, less than half of the base model's "
                f"{median(self.base_lengths):.0f}: the model may learn to answer in driblets."
            )
        if not self.base_lengths:
            found.append("Answer lengths were not compared with the base model's own (--base-answers).")
        if not self.counter.exact:
            found.append("Lengths are estimates: no tokenizer was given (--tokenizer). The trainer may count more.")
        if not self.evaluation_questions:
            found.append("No evaluation set was given (--eval-set): nothing was checked against evaluation questions.")
        for shape in self.mixed.missing:
            found.append(f"There are no samples of shape {shape}; its share went to the others.")
        for shape in self.mixed.scarce:
            found.append(self._scarce(shape))
        found += self._validation()
        repeated = len(self.mixed.samples) - len({sample.id for sample in self.mixed.samples})
        if repeated:
            found.append(
                f"{repeated} samples stand in it more than once, to fill their shape's share (mixture `repeat`)."
            )
        if self.teacher and self.teacher.failed:
            found.append(
                f"{self.teacher.failed} calls to the teacher failed; run the same command again to make them up."
            )
        found += self.notes
        if self.kept is not None:
            found.append(
                f"{self.kept} samples were kept from an earlier dataset; shares and rejects are those of a whole build "
                "only for the pages built then. Build it whole now and then."
            )
        if self.other_languages:
            found.append(
                f"{self.other_languages} pages are neither English nor Chinese: the rules have no questions for them."
            )
        return found

    def _validation(self) -> list[str]:
        """What is not learned, or why nothing shows how pages that are not learned fare."""
        if self.pages_set_aside:
            return [
                f"{self.pages_set_aside} of {len(self.page_counts)} pages are set aside for validation: nothing of "
                "them is learned (--val-share 0 learns every page)."
            ]
        if self.split.val:
            return []
        if self.val_share:
            before = ", or were in training before" if self.kept else ""
            return [
                f"There is no validation set: all samples hang together through pages or question families{before}."
            ]
        found = ["Nothing is set aside for validation: every page is learned, and training shows no validation loss."]
        if self.released:
            found.append(
                f"{self.released} samples of the earlier dataset's validation set are learned now: validation losses "
                "of earlier runs say nothing about the next."
            )
        return found

    def _scarce(self, shape: str) -> str:
        """Too few samples of ``shape``: what it was to have, what it has."""
        got = self.mixed.tokens[shape] / (sum(self.mixed.tokens.values()) or 1)
        count = len({sample.id for sample in self.mixed.samples if sample.shape == shape})
        return (
            f"There are only {count} samples of shape {shape}, too few for its share ({self.wanted[shape]} of the "
            f"tokens; it has {got:.1%}): the rest of its share went to the others."
        )

    def as_dict(self) -> dict[str, object]:
        """For --json."""
        lengths = self.lengths
        return {
            "mixture": self.mixture.name,
            "pages": len(self.page_urls),
            "pages_covered": sum(count > 0 for count in self.page_counts.values()),
            "drafts": self.drafts,
            **({"kept": self.kept} if self.kept is not None else {}),
            "rejected": self.reject_counts,
            "train": len(self.split.train),
            "val": len(self.split.val),
            "pages_set_aside": self.pages_set_aside,
            "samples": _count(self.mixed.samples),
            "tokens": dict(self.mixed.tokens),
            "limited_by": self.mixed.limited_by,
            "scarce": list(self.mixed.scarce),
            "median_answer_tokens": median(lengths) if lengths else 0,
            "tokenizer": self.counter.name,
            "teacher": {**self.teacher.as_dict(), "think_share": round(self.think_share, 4)} if self.teacher else None,
            "warnings": self.warnings(),
            "seconds": round(self.seconds, 1),
        }


def write_card(folder: Path, facts: Facts) -> None:
    """card.md and its charts."""
    save_charts(
        folder,
        facts.mixed.tokens,
        facts.lengths,
        facts.base_lengths,
        list(facts.page_counts.values()),
        facts.reject_counts,
    )
    (folder / "card.md").write_text(card(facts), encoding="utf-8")


def card(facts: Facts) -> str:
    """The card as Markdown."""
    covered = sum(count > 0 for count in facts.page_counts.values())
    generators = ", ".join(
        f"{name} {count}" for name, count in Counted(s.generator for s in facts.mixed.samples).items()
    )
    langs = ", ".join(f"{name} {count}" for name, count in Counted(s.lang for s in facts.mixed.samples).items())
    parts = [
        f"# Dataset: {facts.mixture.name}",
        facts.mixture.description,
        f"{len(facts.split.train)} samples to train on, {len(facts.split.val)} to validate with, from {covered} of "
        f"{len(facts.page_urls)} pages ({langs}; written by: {generators}). {facts.drafts} drafts, "
        f"{len(facts.rejects)} turned down; the rest did not fit the mixture.",
        _section("Before you train", [f"- {warning}" for warning in facts.warnings()]),
        _section("Teacher", [_teacher_line(facts)]) if facts.teacher else "",
        _section("Shapes", _shape_table(facts)),
        _section("Answer lengths", [_length_line(facts), "", "![Answer lengths](answer_lengths.png)"]),
        _section("Turned down", [*_reject_table(facts), "", "![Rejects](rejects.png)"]),
        _section("Pages", ["![Coverage](page_coverage.png)", "", *_uncovered(facts)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *lines])


def _teacher_line(facts: Facts) -> str:
    spent = facts.teacher
    assert spent
    return (
        f"{spent.model}: {spent.made:,} calls made for this dataset now and {spent.known:,} known from before, "
        f"{spent.prompt_tokens:,} prompt and {spent.completion_tokens:,} completion tokens in all. "
        f"{facts.think_share:.1%} of its samples think before they answer."
    )


def _shape_table(facts: Facts) -> list[str]:
    total = sum(facts.mixed.tokens.values()) or 1
    counts = _count(facts.mixed.samples)
    rows = ["| shape | wanted | got | tokens | samples |", "|---|---:|---:|---:|---:|"]
    for shape, share in facts.wanted.items():
        tokens = facts.mixed.tokens.get(shape, 0)
        rows.append(f"| {shape} | {share} | {tokens / total:.1%} | {tokens:,} | {counts.get(shape, 0):,} |")
    limit = (
        f"The whole is limited by {facts.mixed.limited_by}, the shape that ran out first."
        if facts.mixed.limited_by
        else ""
    )
    count = f"Counted with: {facts.counter.name}. No conversation is longer than {facts.max_length:,} tokens."
    return [*rows, "", " ".join(filter(None, [limit, count])), "", "![Tokens per shape](tokens_per_shape.png)"]


def _length_line(facts: Facts) -> str:
    lengths = sorted(facts.lengths) or [0]
    tenth, ninth = lengths[len(lengths) // 10], lengths[len(lengths) * 9 // 10]
    line = f"Median {median(lengths):.0f} tokens; one in ten is under {tenth}, one in ten over {ninth}."
    return f"{line} The base model's own median is {median(facts.base_lengths):.0f}." if facts.base_lengths else line


def _reject_table(facts: Facts) -> list[str]:
    rows = [f"| {gate} | {count:,} |" for gate, count in facts.reject_counts.items()]
    return ["| gate | samples |", "|---|---:|", *rows, "", "Each with its reason: rejects.jsonl."]


def _uncovered(facts: Facts) -> list[str]:
    empty = [url for url, count in facts.page_counts.items() if not count]
    shown = [f"- {url}" for url in empty[:30]]
    more = [f"- and {len(empty) - 30} more"] if len(empty) > 30 else []
    return [f"Pages without a sample: {len(empty)}.", *([""] if empty else []), *shown, *more]


def _count(samples: Sequence[Sample]) -> dict[str, int]:
    return dict(Counted(sample.shape for sample in samples).most_common())
