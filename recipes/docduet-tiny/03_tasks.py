"""Reading tasks of `docduet-tiny`: questions over numbered passages, with cited answers and refusals.

    .venv/bin/python recipes/docduet-tiny/03_tasks.py --pages pages.jsonl.xz --out tasks/
    .venv/bin/python recipes/docduet-tiny/03_tasks.py --pages pages.jsonl.xz --out small/ --tasks 2000
    .venv/bin/python recipes/docduet-tiny/03_tasks.py --pages pages.jsonl.xz --out tasks/ --asked 3

Writes passages-NN.jsonl.xz, tasks-NN.jsonl.xz, heldout-passages-NN and heldout-tasks-NN (packages marked so), chat-01
(no passages), SHA256SUMS and summary.json. A task without passages is asked through base_messages, all others through
rag_messages, both of data/prompts.py. Slices that are done are kept in OUT/slices: run it again after a stop.
No model takes part. Training is 04 and 05, scoring score_tasks.py.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from reading import chat, files, make, people
from reading.parts import Draft, Slice

ASKED = Path(__file__).with_name("asked.jsonl.xz")
CHINESE = 0.3
CHAT = 0.05
HELDOUT = 0.02
"""Tasks of held-out packages, for scoring, on top."""


def main() -> None:
    args = _arguments()
    wanted = {
        (lang, split): round(args.tasks * share * part)
        for lang, share in (("en", 1 - CHINESE), ("zh", CHINESE))
        for split, part in (("train", 1.35), ("heldout", max(HELDOUT, 600 / args.tasks)))
    }
    slices = files.slices(args.pages, wanted, args.largest * 1_000_000)
    asked = _asked_by_people(args.pages, args.asked, len(slices))
    slices += [one for one, _ in asked]
    folder = args.out / "slices"
    folder.mkdir(parents=True, exist_ok=True)
    todo = [one for one in slices if not _done(folder, one)]
    print(f"{len(slices)} slices, {sum(one.size for one in slices) / 1e6:.0f} MB, {len(todo)} to do", file=sys.stderr)
    started = time.monotonic()
    with multiprocessing.get_context("fork").Pool(args.jobs, maxtasksperchild=40) as pool:
        work = _Work(folder, args.seed, {one.number: drafts for one, drafts in asked}, args.asked)
        for done, name in enumerate(pool.imap_unordered(work, todo), start=1):
            spent = time.monotonic() - started
            print(
                f"\r{done}/{len(todo)} {spent:.0f} s, {spent / done * (len(todo) - done):.0f} s left  {name[:40]:40}",
                end="",
                file=sys.stderr,
            )
    print(file=sys.stderr)
    _chat(args.out, args.tasks, args.seed)
    _joined(args.out, folder, slices)
    files.checksums(args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pages", type=Path, required=True, help="pages JSON lines of 01_corpus.py (.jsonl or .jsonl.xz)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the parts")
    parser.add_argument("--tasks", type=int, default=250_000, help="tasks to aim for (default 250000)")
    parser.add_argument(
        "--largest", type=float, default=4.0, help="MB taken of one package in one language (default 4)"
    )
    parser.add_argument(
        "--asked",
        type=int,
        default=0,
        metavar="N",
        help="people's questions (asked.jsonl.xz) as well, each N times (0)",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--seed", type=int, default=8, help="decides everything that is left to chance")
    return parser.parse_args()


class _Work:
    """One slice, in a process of its own. Written under another name first: what is there is whole."""

    def __init__(self, folder: Path, seed: int, asked: Mapping[int, Sequence[Draft]], times: int) -> None:
        self.folder, self.seed, self.asked, self.times = folder, seed, asked, times

    def __call__(self, slice_: Slice) -> str:
        taken, drafts = _asked_by_an_evaluation(), self.asked.get(slice_.number)
        if drafts:
            tasks, passages = make.tasks_of_people(slice_, drafts, self.times, self.seed, taken)
        else:
            tasks, passages = make.tasks_of(slice_, self.seed, taken)
        for stem, rows in (("passages", passages), ("tasks", tasks)):
            path = _piece(self.folder, slice_, stem)
            draft = path.with_suffix(".draft")
            draft.write_bytes(files.packed(row.as_row() for row in rows))
            draft.replace(path)
        return slice_.name


def _asked_by_people(pages: Path, times: int, first: int) -> list[tuple[Slice, list[Draft]]]:
    if not times:
        return []
    asked = people.read_asked(ASKED)
    found = list(people.shelves(pages, asked, first, times))
    there = sum(len(drafts) for _, drafts in found)
    print(
        f"people's questions: {there:,} of {sum(len(one.questions) for one in asked):,} have their page",
        file=sys.stderr,
    )
    return found


@cache
def _asked_by_an_evaluation() -> Callable[[str], bool]:
    """Whether a question is of a set that ships, or shares 13 words in a row with one (as sft.decontaminate has it)."""
    from data.text import folded
    from evals.questions import bundled
    from sft.decontaminate import ngrams, read_questions

    paths = [path for name, path in bundled().items() if name != "support"]  # that has sentences
    asked = [question for path in paths for question in read_questions(path)]
    known = {folded(question) for question in asked}
    runs = {gram for question in asked for gram in ngrams(question)}
    return lambda question: folded(question) in known or not runs.isdisjoint(ngrams(question))


def _piece(folder: Path, slice_: Slice, stem: str) -> Path:
    return folder / f"{slice_.number:04}-{slice_.wanted}.{stem}.xz"


def _done(folder: Path, slice_: Slice) -> bool:
    return _piece(folder, slice_, "tasks").exists()


def _chat(out: Path, count: int, seed: int) -> None:
    rows = [
        task.as_row()
        for split, part in (("train", 1.0), ("heldout", 0.02))
        for lang, share in (("en", 1 - CHINESE), ("zh", CHINESE))
        for task in chat.tasks(lang, round(count * CHAT * share * part), seed, split)
    ]
    (out / "chat-01.jsonl.xz").write_bytes(files.packed(rows))


def _joined(out: Path, folder: Path, slices: list[Slice]) -> None:
    counts: Counter[str] = Counter()
    for split, before in (("train", ""), ("heldout", "heldout-")):
        own = [one for one in slices if one.split == split]
        for stem in ("passages", "tasks"):
            for path in files.join([_piece(folder, one, stem) for one in own], out, f"{before}{stem}"):
                for row in files.read_rows(path):
                    counts[f"{split} {stem}"] += 1
                    if stem == "tasks":
                        counts[f"{split} {row['lang']}"] += 1
                        counts[f"{split} kind {row['kind']}"] += 1
                print(f"{path} {path.stat().st_size / 1e6:.1f} MB")
    (out / "summary.json").write_text(json.dumps(dict(sorted(counts.items())), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(dict(sorted(counts.items())), indent=1))


if __name__ == "__main__":
    main()
