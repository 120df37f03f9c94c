"""Retrieval, measured: every question of a set through every system, scores by language.

Scores are per page: passages are ranked, a page counts at the rank of its best passage (MaxP: Dai and Callan, "Deeper
Text Understanding for IR", SIGIR 2019), pages are counted from the top without repetition. The exception is
``answer@5``: how often the words of the answer stand in one of the first five passages, as they would be handed to a
model. It looks for one wording, so it is a lower bound.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from data.config import DataConfig
from data.errors import ConfigError, EmptySourceError
from data.home import Home
from data.store import PageStore
from data.sync import sync_source
from data.types import Page
from evals.questions import Question, QuestionSet, require_gold
from evals.retrieval.metrics import average, hit_at_k, ndcg_at_k, percentile, reciprocal_rank
from evals.retrieval.peer import LlamaIndexStock
from evals.retrieval.systems import BigramBM25, Hit, System, ours
from rag.build import build_index
from rag.chunk import chunk_page
from rag.config import RagConfig
from rag.embed import Embedder, load_embedder
from rag.follow_up import to_search

DEPTH = 25
"""Passages asked of each system. Half of [rag] candidates: as deep as our fusion goes without putting up more
candidates than in the product's own searches, which would change the ranking. Where 25 passages are of fewer than ten
pages, what might follow counts as not found.
"""

ANSWER_AT = 5

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""


@dataclass(frozen=True)
class Outcome:
    """One question through one system. ``pages``: each once, best first; ``answer_rank``: None where not found."""

    question: Question
    pages: tuple[str, ...]
    answer_rank: int | None
    ms: float

    @property
    def rank(self) -> int | None:
        """Rank of the first page that answers."""
        return next((n for n, page in enumerate(self.pages, start=1) if page in self.question.pages), None)


@dataclass(frozen=True)
class Scores:
    """Means over ``questions`` questions, in [0, 1]. ``answer_at_5``: see the module.

    Latencies are those of a search for as many passages as the configuration hands to the model, in milliseconds.
    """

    questions: int
    hit_at_1: float
    hit_at_5: float
    hit_at_10: float
    mrr_at_10: float
    ndcg_at_10: float
    answer_at_5: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Report:
    """``outcomes``: system name -> its outcomes, in the order of the questions."""

    set: str
    corpus: str
    pages: int
    chunks: int
    embedder: str
    outcomes: dict[str, list[Outcome]]

    def langs(self) -> list[str]:
        first = next(iter(self.outcomes.values()))
        return sorted({outcome.question.lang for outcome in first})

    def scores(self, system: str, lang: str) -> Scores:
        return summarize([outcome for outcome in self.outcomes[system] if outcome.question.lang == lang])

    def as_dict(self) -> dict[str, Any]:
        """For --json: scores by system and language, and each question's rank (null: not found)."""
        named = {key: value for key, value in vars(self).items() if key != "outcomes"}
        langs = self.langs()
        systems = {name: {lang: asdict(self.scores(name, lang)) for lang in langs} for name in self.outcomes}
        ranks: dict[str, dict[str, int | None]] = {}
        for name, outcomes in self.outcomes.items():
            for outcome in outcomes:
                ranks.setdefault(outcome.question.id, {})[name] = outcome.rank
        return {**named, "depth": DEPTH, "systems": systems, "ranks": ranks}


@dataclass(frozen=True)
class Bench:
    """A corpus, indexed: the pages and everything the systems are made of."""

    pages: tuple[Page, ...]
    home: Home
    config: RagConfig
    embedder: Embedder

    def report(self, questions: QuestionSet, corpus: str, names: Sequence[str], progress: Progress) -> Report:
        """Index what is not indexed yet, and ask every system every question."""
        generation = build_index(self.pages, self.home, self.config, progress, self.embedder)
        outcomes = {}
        for name in names:
            progress(f"Preparing {name}", 0, 1)
            system = self._system(name, generation)
            outcomes[name] = evaluate(system, questions.questions, self.config.top_k, progress)
        info = generation.info
        return Report(questions.name, corpus, info.pages, info.chunks, info.embedder, outcomes)

    def _system(self, name: str, generation: Any) -> System:
        if name == "bigram":
            sizes = self.config.chunk_tokens, self.config.whole_tokens
            chunks = ((page, chunk) for page in self.pages for chunk in chunk_page(page, *sizes))
            return BigramBM25(name, [Hit(page.url, chunk.text) for page, chunk in chunks])
        if name == "bigram-pages":
            return BigramBM25(name, [Hit(page.url, f"{page.title}\n{page.body}") for page in self.pages])
        if name == "llamaindex":
            return LlamaIndexStock(self.pages, self.embedder, self.home.root / "llamaindex", generation.manifest.key)
        return ours(name, generation, self.embedder, self.config)


def prepare(
    questions: QuestionSet,
    corpus: Path | None,
    exclude: Sequence[str],
    cache: Path,
    config: RagConfig,
    progress: Progress,
) -> Bench:
    """The set's pages in a home of its own below ``cache``, away from the user's index. Raises ConfigError."""
    corpus = corpus or questions.folder
    if corpus is None and not questions.corpus:
        raise ConfigError(f"the set {questions.name} has no pages of its own: say where they are with --corpus FOLDER")
    identity = str(corpus.expanduser().resolve()) if corpus else f"set {questions.name}"
    name = re.sub(r"[^\w-]+", "-", corpus.name if corpus else questions.name).strip("-") or "corpus"
    home = Home(cache / "eval" / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}")
    patterns = (*questions.exclude, *exclude)
    found = _synced(corpus, home, progress) if corpus else list(questions.corpus)
    pages = tuple(page for page in found if not any(fnmatchcase(page.url, pattern) for pattern in patterns))
    if not pages:
        raise EmptySourceError(f"--exclude leaves no page of {corpus or questions.name}")
    require_gold(questions.questions, {page.url for page in pages}, str(corpus or questions.name))
    return Bench(pages, home, config, load_embedder(config.embedder))


def evaluate(system: System, questions: Sequence[Question], top_k: int, progress: Progress) -> list[Outcome]:
    """Ask ``system`` every question: for ``top_k`` passages, timed, and for as many as the scores want.

    Follow-ups are joined with what they lean on, as the gateway does without an engine. A first question beforehand
    warms the system up and is not counted.
    """
    system.search(questions[0].question, top_k)
    outcomes = []
    for done, question in enumerate(questions, start=1):
        query = to_search(question.question, question.messages[:-1])
        started = time.perf_counter()
        system.search(query, top_k)
        ms = (time.perf_counter() - started) * 1000
        hits = system.search(query, DEPTH)
        pages = tuple(dict.fromkeys(hit.page for hit in hits))
        outcomes.append(Outcome(question, pages, answer_rank(hits, question), ms))
        progress(f"Asking {system.name}", done, len(questions))
    return outcomes


def answer_rank(hits: Sequence[Hit], question: Question) -> int | None:
    """Rank of the first passage, of a page that answers, with the words of the answer in it; white space aside."""
    span = _squeezed(question.answer_span)
    for rank, hit in enumerate(hits, start=1):
        if span and hit.page in question.pages and span in _squeezed(hit.text):
            return rank
    return None


def summarize(outcomes: Sequence[Outcome]) -> Scores:
    """The scores of one system over these questions."""
    asked = [(outcome.pages, outcome.question.pages) for outcome in outcomes]
    return Scores(
        questions=len(outcomes),
        hit_at_1=average(hit_at_k(pages, gold, 1) for pages, gold in asked),
        hit_at_5=average(hit_at_k(pages, gold, 5) for pages, gold in asked),
        hit_at_10=average(hit_at_k(pages, gold, 10) for pages, gold in asked),
        mrr_at_10=average(reciprocal_rank(pages, gold, 10) for pages, gold in asked),
        ndcg_at_10=average(ndcg_at_k(pages, gold, 10) for pages, gold in asked),
        answer_at_5=average(float(o.answer_rank is not None and o.answer_rank <= ANSWER_AT) for o in outcomes),
        p50_ms=percentile((outcome.ms for outcome in outcomes), 50),
        p95_ms=percentile((outcome.ms for outcome in outcomes), 95),
    )


def _synced(corpus: Path, home: Home, progress: Progress) -> list[Page]:
    """The folder's pages, as `docduet data sync` reads them; the second time only what changed is read."""
    store = PageStore(home.pages)
    sync_source(str(corpus), store, DataConfig(), lambda done, total, path: progress("Reading pages", done, total))
    return list(store.pages())


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
