"""Pages in, a dataset folder out: write drafts, sift them, mix, split, write.

The rules are deterministic and take a minute, so nothing is kept between runs: a build that was killed leaves the
folder as it was and is started again. What costs (a teacher's answers) is cached by whoever asks for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ConfigError, EmptySourceError
from data.types import Page
from sft.card import Facts, write_card
from sft.decontaminate import Decontamination, read_questions
from sft.duplicates import ExactDuplicates, NearDuplicates, SameMeaning
from sft.gates import Gate, sift, standard_gates
from sft.mixture import Mixture, mix
from sft.output import check_free, write_dataset
from sft.rules.writer import LANGS, RuleWriter
from sft.split import split
from sft.tokens import Counter
from sft.types import Reject, Sample, Taught, Writer

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
    base_answers: Path | None = None,
    embedder: Embedder | None = None,
    val_share: float = 0.05,
    limit: int = 0,
    progress: Progress = lambda *_: None,
) -> Facts:
    """Build the dataset and say what is in it; ``out`` None writes nothing.

    Raises EmptySourceError (no pages), ConfigError, DiskFullError.
    """
    started = time.monotonic()
    if out is not None:
        check_free(out.expanduser())
    found = in_order(pages)
    questions = [question for path in eval_sets for question in read_questions(path)]
    base = [counter.count(answer) for answer in _answers(base_answers)] if base_answers else []
    kept, rejects = _sifted(
        _drafts(writers, found, progress), counter, max_length, Decontamination(questions), embedder
    )
    if not kept:
        raise ConfigError(_nothing(found, rejects))
    progress("mix", 0, 0)
    mixed = mix(kept, mixture, counter, limit)
    facts = Facts(
        mixture=mixture,
        mixed=mixed,
        split=split(mixed.samples, val_share),
        rejects=rejects,
        drafts=len(kept) + len(rejects),
        page_urls=[page.url for page in found],
        other_languages=sum(page.lang not in LANGS for page in found) if _by_rules(writers) else 0,
        counter=counter,
        max_length=max_length,
        evaluation_questions=len(questions),
        base_lengths=base,
        teacher=next((writer.usage for writer in writers if isinstance(writer, Taught)), None),
        seconds=time.monotonic() - started,
    )
    if out is not None:
        progress("write", 0, 0)
        write_dataset(out, facts.split, rejects, lambda folder: write_card(folder, facts))
    return facts


def in_order(pages: Iterable[Page]) -> list[Page]:
    """The pages by url. Raises EmptySourceError when there are none."""
    found = sorted(pages, key=lambda page: page.url)
    if not found:
        raise EmptySourceError("there are no pages to make a dataset from: run `docduet data sync FOLDER` first")
    return found


def _by_rules(writers: Sequence[Writer]) -> bool:
    return any(isinstance(writer, RuleWriter) for writer in writers)


def _drafts(writers: Sequence[Writer], pages: Sequence[Page], progress: Progress) -> Iterator[Sample | Reject]:
    done = 0
    for writer in writers:
        for sample in writer.drafts(pages):
            done += 1
            if done % 100 == 1:
                progress("draft", done, 0)
            yield sample


def _sifted(
    drafts: Iterator[Sample | Reject],
    counter: Counter,
    max_length: int,
    decontamination: Decontamination,
    embedder: Embedder | None,
) -> tuple[list[Sample], list[Reject]]:
    """What passes all gates, and what does not."""
    rejects: list[Reject] = []

    def kept(sifted: Iterable[Sample | Reject]) -> Iterator[Sample]:
        for one in sifted:
            if isinstance(one, Reject):
                rejects.append(one)
            else:
                yield one

    gates = [
        *standard_gates(counter, max_length, embedder),
        Gate(decontamination.name, decontamination.check),
        Gate(ExactDuplicates.name, ExactDuplicates().check),
    ]
    passed = kept(NearDuplicates().sift(kept(sift(drafts, gates))))
    if embedder is not None:
        passed = kept(SameMeaning(embedder).sift(passed))
    return list(passed), rejects


def _nothing(pages: Sequence[Page], rejects: Sequence[Reject]) -> str:
    if rejects:
        return f"all {len(rejects)} drafts were turned down, the first one by {rejects[0].gate}: {rejects[0].reason}"
    langs = ", ".join(sorted({page.lang for page in pages}))
    return f"the {len(pages)} pages ({langs}) hold nothing to ask about: headings, option lists, tables, steps or code"


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
