"""Pages in, a dataset folder out: write drafts, sift them, mix, split, write. With `diff`, only for what has changed.

The rules are deterministic and take a minute, so nothing is kept between runs: a build that was killed leaves the
folder as it was and is started again. What costs (a teacher's answers) is cached by whoever asks for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data import handbook
from data.errors import ConfigError, DocDuetError, EmptySourceError
from data.types import Page
from sft.card import Facts, write_card
from sft.decontaminate import Decontamination, read_questions
from sft.duplicates import ExactDuplicates, NearDuplicates, SameMeaning
from sft.gates import Gate, sift, standard_gates
from sft.mixture import Mixture, mix, refill
from sft.output import check_free, write_dataset
from sft.previous import Diff
from sft.rules.writer import LANGS, RuleWriter
from sft.split import Sides, on_one_side, split
from sft.tokens import Counter
from sft.types import NO_PAGES, Reject, Sample, Taught, Writer

if TYPE_CHECKING:
    from rag.embed import Embedder

Progress = Callable[[str, int, int], None]
"""(stage, done, total): total 0 while it is not known."""


def build(
    pages: Iterable[Page],
    writers: Sequence[Writer],
    mixture: Mixture,
    counter: Counter,
    max_length: int,
    out: Path | None,
    *,
    eval_sets: Sequence[Path] = (),
    held_out: Sequence[str] = (),
    base_answers: Path | None = None,
    embedder: Embedder | None = None,
    val_share: float = 0.05,
    limit: int = 0,
    diff: Diff | None = None,
    progress: Progress = lambda *_: None,
) -> Facts:
    """Build the dataset and say what is in it; ``out`` None writes nothing.

    ``diff``: keep what holds of an earlier dataset, and write only for the pages that changed. ``val_share`` 0: nothing
    is set aside for validation, what an earlier dataset had set aside included. ``held_out``: questions
    that will be evaluated with, beside those of ``eval_sets`` and, over the bundled handbook, those of its own set.

    Raises EmptySourceError (no pages), ConfigError, DiskFullError.
    """
    started = time.monotonic()
    if out is not None:
        check_free(out.expanduser())
    found = sorted(pages, key=lambda page: page.url)
    sets = dict.fromkeys([*eval_sets, *handbook.held_out(found)])
    questions = [*held_out, *(question for path in sets for question in read_questions(path))]
    lengths = [counter.count(answer) for answer in _answers(base_answers)] if base_answers else []
    sieve = Sieve(counter, max_length, Decontamination(questions), embedder)
    base = sieve.still_good(diff.kept) if diff else []
    known = {sample.id for sample in base}
    drafts = _drafts(writers, found, diff.pages if diff else None, progress)
    drafts = (one for one in drafts if isinstance(one, Reject) or one.id not in known)
    kept = sieve.good(drafts)
    rejects = sieve.rejects
    if not kept and not base:
        raise _nothing(found, rejects)
    progress("mix", 0, 0)
    sides: Sides = diff.previous.pins if diff and val_share else {}
    if diff:
        kept, tied = on_one_side(kept, sides)
        rejects += [Reject(one, "split", "ties a page in training to one in validation") for one in tied]
        mixed = refill(base, kept, diff.previous.taken, mixture, counter, limit)
    else:
        mixed = mix(kept, mixture, counter, limit)
    facts = Facts(
        mixture=mixture,
        mixed=mixed,
        val_share=val_share,
        split=split(mixed.samples, val_share, sides=sides),
        rejects=rejects,
        drafts=len(kept) + len(rejects),
        page_urls=[page.url for page in found],
        other_languages=sum(page.lang not in LANGS for page in found) if _by_rules(writers) else 0,
        counter=counter,
        max_length=max_length,
        evaluation_questions=len(questions),
        base_lengths=lengths,
        notes=[note for writer in writers for note in getattr(writer, "notes", ())],
        kept=len(base) if diff else None,
        released=diff.from_validation(base) if diff and not val_share else 0,
        teacher=next((writer.usage for writer in writers if isinstance(writer, Taught)), None),
        seconds=time.monotonic() - started,
    )
    if out is not None:
        progress("write", 0, 0)
        made = {
            "mixture": mixture.name,
            "val_share": val_share,
            "taken": mixed.taken,
            "pages": {page.url: page.content_hash for page in found} if diff is None else diff.pages_after(found),
        }
        write_dataset(out, facts.split, rejects, lambda folder: write_card(folder, facts), made)
    return facts


def _by_rules(writers: Sequence[Writer]) -> bool:
    return any(isinstance(writer, RuleWriter) for writer in writers)


def _drafts(
    writers: Sequence[Writer], pages: Sequence[Page], only: frozenset[str] | None, progress: Progress
) -> Iterator[Sample | Reject]:
    done = 0
    for writer in writers:
        for sample in writer.drafts(pages, only):
            done += 1
            if done % 100 == 1:
                progress("draft", done, 0)
            yield sample


class Sieve:
    """All gates in their order. ``rejects``: what they turned down so far."""

    def __init__(
        self, counter: Counter, max_length: int, decontamination: Decontamination, embedder: Embedder | None
    ) -> None:
        gates = standard_gates(counter, max_length, embedder)
        apart = Gate(decontamination.name, decontamination.check)
        self._of_a_run = [*(gate for gate in gates if gate.name == "length"), apart]
        self._exact = Gate(ExactDuplicates.name, ExactDuplicates().check)
        self._gates = [*gates, apart, self._exact]
        self._alike: list[NearDuplicates | SameMeaning] = [NearDuplicates()]
        if embedder is not None:
            self._alike.append(SameMeaning(embedder))
        self.rejects: list[Reject] = []

    def good(self, drafts: Iterable[Sample | Reject]) -> list[Sample]:
        """What passes all gates."""
        return self._unlike(self._kept(sift(drafts, self._gates)))

    def still_good(self, samples: Sequence[Sample]) -> list[Sample]:
        """Of samples that passed before: those that also meet this run's length and evaluation sets, repeats included.

        New drafts that say the same are duplicates from now on.
        """
        passed = {sample.id: sample for sample in self._kept(sift(_distinct(samples), self._of_a_run))}
        self._unlike(iter(list(filter(lambda one: not self._exact.check(one), passed.values()))), silent=True)
        return [sample for sample in samples if sample.id in passed]

    def _unlike(self, samples: Iterator[Sample], silent: bool = False) -> list[Sample]:
        for gate in self._alike:
            samples = self._kept(gate.sift(samples), silent)
        return list(samples)

    def _kept(self, sifted: Iterable[Sample | Reject], silent: bool = False) -> Iterator[Sample]:
        for one in sifted:
            if not isinstance(one, Reject):
                yield one
            elif not silent:
                self.rejects.append(one)


def _distinct(samples: Iterable[Sample]) -> Iterator[Sample]:
    return iter({sample.id: sample for sample in samples}.values())


def _nothing(pages: Sequence[Page], rejects: Sequence[Reject]) -> DocDuetError:
    if rejects:
        return ConfigError(
            f"all {len(rejects)} drafts were turned down, the first one by {rejects[0].gate}: {rejects[0].reason}"
        )
    if not pages:
        return EmptySourceError(NO_PAGES)
    langs = ", ".join(sorted({page.lang for page in pages}))
    return ConfigError(
        f"the {len(pages)} pages ({langs}) hold nothing to ask about: headings, option lists, tables, steps or code"
    )


def _answers(path: Path) -> list[str]:
    """The base model's own answers: JSON lines with "answer". Raises ConfigError."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = [str(row["answer"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'{path}: each line must be JSON with an "answer" ({error})') from None
    if not found:
        raise ConfigError(f"{path} holds no answers")
    return found
