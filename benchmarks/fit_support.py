"""Fit the measure of rag/support.py, and report how well it tells supported sentences from others.

    docduet data sync ../shared/corpora/ms-swift-docs
    python benchmarks/fit_support.py             # prints coefficients to copy into rag/support.py, then the report
    python benchmarks/fit_support.py --report    # only the report, of what is committed
    python benchmarks/fit_support.py --embedder  # what a cosine similarity would add

Fitted on one half of the pages and of evals/sets/support.jsonl, reported on the other halves. In that set are sentences
written by hand, in words of their own, about sections of the handbook. Supported by rule are a page's sentences as they
stand, the same reworded, and what `docduet sft build` writes from a page. Unsupported by rule are sentences with a
number, an identifier or a name changed, with a negation put in or taken out, and sentences of other pages, but for
those of which three quarters of the words stand in one chunk. Each is judged against the six chunks that share most
words with it; a sentence of another page never against its own.
Needs scikit-learn.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import log
from pathlib import Path

from data.home import Home
from data.sentences import claims
from data.store import PageStore
from data.types import Page
from rag import support
from rag.chunk import Chunk, chunk_page
from rag.embed import Embedder, load_embedder
from rag.lexical import terms, tokenize
from rag.support import Features, Source, claim_of, features
from sft.rules.writer import RuleWriter

HAND = Path(__file__).parents[1] / "evals/sets/support.jsonl"
SOURCES = 6
PER_PAGE = 12
WEIGHTS = {"by hand": 8.0, "of another page": 4.0, "negated": 2.0}
"""Of kinds of cases, 1 for the others."""
REPLACED = 0.25
SWAPS = {"en": (" is ", " is not "), "zh": ("可以", "不能")}
_NUMBER = re.compile(r"(?<![\w.`-])\d+(?:\.\d+)?(?![\w.-])")
_CODE = re.compile(r"`([\w.-]{3,})`")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][A-Za-z]{3,}\b")


@dataclass(frozen=True)
class Case:
    """A sentence and the sources that it is judged against."""

    sentence: str
    lang: str
    kind: str
    there: bool
    fitted_on: bool
    sources: tuple[Source, ...]


class Corpus:
    """Chunks with an inverted index: how much words tell, and which chunks share most of them with a sentence."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self.chunks: list[tuple[Page, Chunk]] = [
            (page, chunk) for page in pages for chunk in chunk_page(page, 220, 800)
        ]
        self._found: dict[str, list[int]] = defaultdict(list)
        for number, (_, chunk) in enumerate(self.chunks):
            for token in set(tokenize(chunk.searchable)):
                self._found[token].append(number)
        self.words = sorted(token for token, found in self._found.items() if len(found) > 5 and token.isalpha())

    def weigh(self, text: str) -> Mapping[str, float]:
        total = len(self.chunks) + 50
        counts = {token: len(self._found.get(token, ())) for token in tokenize(text)}
        return {token: log((total + 1) / (n + 1)) / log(total + 1) if n else 1.0 for token, n in counts.items()}

    def nearest(self, sentence: str, lang: str, without: str = "") -> tuple[Source, ...]:
        """The chunks that share most with a sentence; those of page ``without`` left out."""
        scores: dict[int, float] = defaultdict(float)
        for token, weight in self.weigh(sentence).items():
            for number in self._found.get(token, ()):
                scores[number] += weight
        best = (
            n
            for n in sorted(scores, key=scores.__getitem__, reverse=True)
            if self.chunks[n][0].url != without and self.chunks[n][0].lang == lang
        )
        return tuple(self.source(n) for _, n in zip(range(SOURCES), best, strict=False))

    @cache  # noqa: B019  # lives as long as the process
    def source(self, number: int) -> Source:
        page, chunk = self.chunks[number]
        return Source(page.body[chunk.start : chunk.end], " > ".join([page.title, *chunk.heading_path]))


def sentences(text: str) -> list[str]:
    found = (text[span.start : span.end] for span in claims(text) if not span.code)
    return [sentence for sentence in found if 25 <= len(sentence) * (3 if re.search("[一-鿿]", sentence) else 1) <= 900]


def by_rule(corpus: Corpus, pages: Sequence[Page]) -> Iterator[Case]:
    whole = {page.url: page.body for page in pages}
    written: dict[str, list[str]] = defaultdict(list)
    for sample in RuleWriter().drafts(pages):
        if sample.shape in ("single-turn", "how-to", "troubleshooting", "comparison") and len(sample.pages) == 1:
            written[sample.pages[0]] += [line for said in sample.said for line in sentences(said)]
    for page in pages:
        draw = random.Random(page.url)
        fitted_on = zlib.crc32(page.url.partition("/")[2].encode()) % 2 == 0  # twins on the same side
        own = sentences(page.body)
        reworded = [_reworded(sentence, corpus, draw) for sentence in draw.sample(own, min(PER_PAGE, len(own)))]
        for kind, options in (("as it stands", own), ("written by rule", written[page.url]), ("reworded", reworded)):
            for sentence in draw.sample(options, min(PER_PAGE, len(options))):
                yield Case(sentence, page.lang, kind, True, fitted_on, corpus.nearest(sentence, page.lang))
        for kind, change in CHANGES.items():
            changed = [new for old in own if (new := change(old, page, draw)) and new not in whole[page.url]]
            for sentence in draw.sample(changed, min(PER_PAGE // 2, len(changed))):
                yield Case(sentence, page.lang, kind, False, fitted_on, corpus.nearest(sentence, page.lang))
        for sentence in draw.sample(own, min(PER_PAGE, len(own))):
            found = corpus.nearest(sentence, page.lang, page.url)
            if found and not any(_repeats(sentence, source) for source in found):
                yield Case(sentence, page.lang, "of another page", False, fitted_on, found)


def _repeats(sentence: str, source: Source) -> bool:
    """Docs say many things twice: three quarters of the words in one chunk, and it may well support the sentence."""
    said = set(tokenize(sentence))
    return len(said & frozenset().union(*source.sentences)) >= 0.75 * len(said)


def _reworded(sentence: str, corpus: Corpus, draw: random.Random) -> str:
    """A third of the words replaced by words from anywhere, and the clauses turned around: what a paraphrase keeps."""
    code = [(m.start(), m.end()) for m in re.finditer("`[^`]*`", sentence)]
    pieces, at = [], 0
    for term in terms(sentence):
        inside = any(start <= term.start < end for start, end in code)
        if term.kind == "word" and term.start >= at and not inside and draw.random() < REPLACED:
            pieces += [sentence[at : term.start], draw.choice(corpus.words)]
            at = term.end
    clauses = re.split("([,，;；])", "".join([*pieces, sentence[at:]]))
    return "".join(reversed(clauses))


def _other_number(sentence: str, page: Page, draw: random.Random) -> str:
    return (
        _NUMBER.sub(lambda m: str(int(float(m[0])) + draw.randint(2, 90)), sentence, count=1)
        if _NUMBER.search(sentence)
        else ""
    )


def _swapped(pattern: re.Pattern[str]) -> Callable[[str, Page, random.Random], str]:
    """Another of the page's own: the hardest, for it stands nearby."""

    def change(sentence: str, page: Page, draw: random.Random) -> str:
        found = pattern.search(sentence)
        others = sorted({m[0] for m in pattern.finditer(page.body)} - {found[0]}) if found else []
        return sentence.replace(found[0], draw.choice(others)) if found and others else ""

    return change


def _negated(sentence: str, page: Page, draw: random.Random) -> str:
    yes, no = SWAPS["zh" if page.lang == "zh" else "en"]
    return sentence.replace(no, yes, 1) if no in sentence else sentence.replace(yes, no, 1) if yes in sentence else ""


CHANGES = {
    "other number": _other_number,
    "other identifier": _swapped(_CODE),
    "other name": _swapped(_NAME),
    "negated": _negated,
}


def by_hand(corpus: Corpus) -> Iterator[Case]:
    for number, line in enumerate(HAND.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        source = Source(row["source"], row["context"])
        for there in (True, False):
            for sentence in row["supported" if there else "unsupported"]:
                yield Case(sentence, row["lang"], "by hand", there, number % 2 == 0, (source,))


def compared(case: Case, corpus: Corpus) -> list[Features | None]:
    claim = claim_of(case.sentence, corpus.weigh)
    return [features(claim, source) for source in case.sources] if claim else []


def fit(cases: Sequence[Case], found: Sequence[list[Features | None]]) -> None:
    """Each case by its best source under the coefficients so far, three times over; kinds weigh the same."""
    from sklearn.linear_model import LogisticRegression

    kinds = Counter((case.kind, case.there) for case in cases if case.fitted_on)
    names = list(Features.__dataclass_fields__)
    for _ in range(4):
        rows, labels, weights = [], [], []
        for case, options in zip(cases, found, strict=True):
            kept = [option for option in options if option]
            if case.fitted_on and kept:
                best = max(kept, key=support.probability)
                rows.append([getattr(best, name) for name in names])
                labels.append(case.there)
                weights.append(WEIGHTS.get(case.kind, 1.0) * 1000 / kinds[case.kind, case.there])
        model = LogisticRegression(C=3.0, max_iter=2000).fit(rows, labels, sample_weight=weights)
        fitted = dict(zip(names, (round(float(value), 3) for value in model.coef_[0]), strict=True))
        support.COEFFICIENTS = {"intercept": round(float(model.intercept_[0]), 3), **fitted}
    print("COEFFICIENTS =", json.dumps(support.COEFFICIENTS, indent=4))


def report(cases: Sequence[Case], found: Sequence[list[Features | None]]) -> None:
    for title, chosen in (
        ("other half of the pages, by rule", lambda case: case.kind != "by hand" and not case.fitted_on),
        ("by hand, en", lambda case: case.kind == "by hand" and case.lang == "en" and not case.fitted_on),
        ("by hand, zh", lambda case: case.kind == "by hand" and case.lang == "zh" and not case.fitted_on),
    ):
        told = [
            (case, max((support.probability(option) for option in options), default=0.0) >= support.THRESHOLD)
            for case, options in zip(cases, found, strict=True)
            if chosen(case)
        ]
        right = sum(case.there and said for case, said in told)
        precision, recall = right / max(1, sum(s for _, s in told)), right / sum(case.there for case, _ in told)
        print(f"\n{title}: {len(told)} sentences, precision {precision:.3f}, recall {recall:.3f}")
        for kind, there in sorted({(case.kind, case.there) for case, _ in told}, key=str):
            of_kind = [said for case, said in told if (case.kind, case.there) == (kind, there)]
            label = f"{kind:18} {'supported' if there else 'unsupported':12}"
            print(f"  {label} {sum(of_kind):4} of {len(of_kind):4} called supported")
        if "-v" in sys.argv and "hand" in title:
            print(*(f"    {case.there} {case.sentence}" for case, said in told if case.there != said), sep="\n")


def with_cosine(cases: Sequence[Case], found: Sequence[list[Features | None]]) -> None:
    """How well a cosine similarity to the nearest sentence tells the English sentences written by hand apart."""
    from sklearn.metrics import roc_auc_score

    embedder = load_embedder("minilm")
    rows = [row for row in zip(cases, found, strict=True) if row[0].kind == "by hand" and row[0].lang == "en"]
    there = [case.there for case, _ in rows]
    words = [max((support.probability(option) for option in options), default=0.0) for _, options in rows]
    cosines = [_cosine(case, embedder) for case, _ in rows]
    both = [(p + c) / 2 for p, c in zip(words, cosines, strict=True)]
    areas = [round(float(roc_auc_score(there, scores)), 3) for scores in (words, cosines, both)]
    print(
        f"by hand, en, both halves: area under the curve of words {areas[0]}, cosine {areas[1]}, their mean {areas[2]}"
    )


def _cosine(case: Case, embedder: Embedder) -> float:
    pieces = [source.text[span.start : span.end] for source in case.sources for span in claims(source.text)]
    return float((embedder.documents(pieces) @ embedder.query(case.sentence)).max())


def main() -> None:
    pages = [page for page in PageStore(Home.from_env().pages).pages() if page.lang in ("en", "zh")]
    corpus = Corpus(pages)
    cases = [*by_rule(corpus, pages), *by_hand(corpus)]
    started = time.perf_counter()
    found = [compared(case, corpus) for case in cases]
    spent = (time.perf_counter() - started) / len(cases) * 1000
    if "--report" not in sys.argv:
        fit(cases, found)
    report(cases, found)
    print(f"\n{spent:.2f} ms a sentence against {SOURCES} sources that are taken apart already")
    if "--embedder" in sys.argv:
        with_cosine(cases, found)


if __name__ == "__main__":
    main()
