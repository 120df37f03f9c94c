"""What the model `auto` chooses before anything was fitted, and the time that choosing adds to an answer.

    docduet sync ../shared/corpora/ms-swift-docs
    python benchmarks/routing.py                 # the questions of evals/sets over the live index
    python benchmarks/routing.py --router FILE   # the same with a fitted router

Asked are the sets about these docs: questions that they answer (ms-swift-docs) and labelled ones (refusals-*), once as
if there were `rag` only, once as if a checkpoint had learned every page as it is today. The time stands beside that of
the search before it, in the same run. No engine is asked. Fitting is measured by `docduet route fit --simulate N`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.home import Home
from data.lang import detect_lang
from data.store import PageStore
from evals.questions import FOLDER, load_set
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.arms.retrieval import find
from serving.arms.turn import Turn
from serving.router.features import Learned
from serving.router.router import Router

SETTINGS = {"rag only": ("rag",), "rag and sft": ("rag", "sft")}


@dataclass(frozen=True)
class Chosen:
    """One question's route. ``search_ms``, ``route_ms``: time spent (milliseconds)."""

    kind: str
    setting: str
    arms: str
    search_ms: float
    route_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", type=Path, default=Path("no-router.json"), help="a router.json")
    arguments = parser.parse_args()
    home = Home.from_env()
    live = LiveIndex(home, RagConfig())
    learned = Learned({page.url: page.content_hash for page in PageStore(home.pages).pages()})
    found = asyncio.run(choose(list(questions()), live, learned, Router(arguments.router)))
    report(found)


def questions() -> Iterable[tuple[str, str]]:
    """(kind, question)."""
    for question in load_set("ms-swift-docs").questions:
        yield f"paraphrased {question.lang}", question.question
    for name in ("fit", "heldout"):
        for line in (FOLDER / f"refusals-{name}.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            yield f"{'in the docs' if entry['answerable'] else 'not in them'} {entry['lang']}", entry["question"]


async def choose(asked: Sequence[tuple[str, str]], live: LiveIndex, learned: Learned, router: Router) -> list[Chosen]:
    chosen = []
    for _, question in asked[:10]:  # warm: embedder, jieba, threads
        turn = Turn(question, lang=detect_lang(question))
        await router.consider(turn, await find(live, turn, None), ("rag", "sft"), learned)
    for kind, question in asked:
        for setting, arms in SETTINGS.items():
            turn = Turn(question, lang=detect_lang(question))
            began = time.perf_counter()
            found = await find(live, turn, None)
            searched = time.perf_counter()
            considered = await router.consider(turn, found, arms, learned if "sft" in arms else None)
            routed = time.perf_counter()
            answer = " + ".join(considered.route.arms) or "refused"
            chosen.append(Chosen(kind, setting, answer, (searched - began) * 1e3, (routed - searched) * 1e3))
    return chosen


def report(chosen: Sequence[Chosen]) -> None:
    for setting in SETTINGS:
        of_setting = [entry for entry in chosen if entry.setting == setting]
        for kind in sorted({entry.kind for entry in of_setting}):
            arms = Counter(entry.arms for entry in of_setting if entry.kind == kind)
            shares = ", ".join(f"{name} {count / arms.total():.2f}" for name, count in arms.most_common())
            print(f"{setting:<12}{kind:<16}{arms.total():>4} questions: {shares}")
        for stage in ("search_ms", "route_ms"):
            spent = np.percentile([getattr(entry, stage) for entry in of_setting], [50, 95, 99])
            print(f"{setting:<12}{stage:<10} p50 / p95 / p99: {' / '.join(f'{value:.2f}' for value in spent)}")


if __name__ == "__main__":
    main()
