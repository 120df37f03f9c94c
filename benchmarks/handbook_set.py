"""How far the search carries the question set on the handbook: what a reading voice could say at best, and who refuses.

    python benchmarks/handbook_set.py [--set handbook] [--context-tokens 1600] [--tokenizer FOLDER]

No model is asked. For every kind of question: how often a page that answers is among the first five; the share of gold
facts that stand in the first three passages (what quoting mode shows), in all of `top_k`, in what a model reads, and in
what one with room reads (`wide_top_k`), with the tokens of these two; and how many questions quoting mode refuses. Then
how well that decision tells what the pages answer from what they do not: the area under the ROC curve, and refusals at
other thresholds than 0.5. Follow-ups are joined with the question before them, as the gateway does without an engine.
Tokens are estimated, or those of the model in --tokenizer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.home import Home
from data.prompts import passages_block
from evals.answers.facts import facts_recalled
from evals.questions import Question, load_set
from evals.retrieval.bench import prepare
from rag.build import build_index
from rag.chunk import estimate_tokens
from rag.config import RagConfig
from rag.follow_up import to_search
from rag.retriever import HybridRetriever

THRESHOLDS = (0.5, 0.3, 0.2, 0.1, 0.05)
WIDE = 32_768
"""The context of an engine with room (tokens)."""


@dataclass(frozen=True)
class Found:
    """``facts``: shares recalled in three passages, in all, in what a model reads, in what one with room reads; None
    where there is nothing to recall. ``tokens``: of the latter two."""

    question: Question
    hit: bool
    facts: tuple[float, ...] | None
    tokens: tuple[int, ...]
    probability: float


def look(retriever: HybridRetriever, question: Question, tokens_of: Callable[[str], int]) -> Found:
    query = to_search(question.question, question.messages[:-1])
    config = retriever.config
    wide = retriever.search(query, config.passages(WIDE))
    passages = retriever.search(query)
    read = [passages_block(retriever.sections(found, context)) for found, context in ((passages, None), (wide, WIDE))]
    texts = ["\n".join(passage.text for passage in some) for some in (passages[:3], passages)]
    shares = tuple(facts_recalled(question.facts, text)[0] for text in (*texts, *read) if question.facts)
    pages = list(dict.fromkeys(passage.url for passage in retriever.search(query, 25)))[:5]
    verdict = retriever.answerability(query, passages)
    hit = bool(set(pages) & set(question.pages))
    return Found(question, hit, shares or None, tuple(map(tokens_of, read)), verdict.score)


def counter(folder: Path | None) -> Callable[[str], int]:
    """How many tokens a text has for the model in ``folder``; estimated without one."""
    if folder is None:
        return estimate_tokens
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    return lambda text: len(tokenizer.encode(text))


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def area(inside: list[float], outside: list[float]) -> float:
    """Share of pairs in which the answerable question has the higher probability; ties count half."""
    return mean([(a > b) + (a == b) / 2 for a in inside for b in outside])


def main() -> None:
    parser = argparse.ArgumentParser(description="What the search finds of the handbook's question set.")
    parser.add_argument("--set", default="handbook", dest="name")
    parser.add_argument("--context-tokens", type=int, default=RagConfig().context_tokens)
    parser.add_argument("--tokenizer", type=Path, help="a model's folder")
    args = parser.parse_args()
    questions = load_set(args.name)
    config, tokens_of = RagConfig(context_tokens=args.context_tokens), counter(args.tokenizer)
    with tempfile.TemporaryDirectory() as scratch:
        bench = prepare(questions, None, (), Path(scratch), config, lambda *_: None)
        generation = build_index(bench.pages, Home(Path(scratch) / "home"), config, lambda *_: None, bench.embedder)
        retriever = HybridRetriever(generation, bench.embedder, config)
        found = [look(retriever, question, tokens_of) for question in questions.questions]
    print("lang kind           n  hit@5  facts in 3 passages / all / read / wide  tokens read / wide  refused")
    for lang, kind in sorted({(one.question.lang, one.question.kind) for one in found}):
        some = [one for one in found if (one.question.lang, one.question.kind) == (lang, kind)]
        facts = [one.facts for one in some if one.facts]
        told = " / ".join(f"{mean(list(values)):.2f}" for values in zip(*facts, strict=True)) or "   -"
        hit = f"{mean([one.hit for one in some]):.2f}" if facts else "   -"
        refused = mean([one.probability < THRESHOLDS[0] for one in some])
        tokens = " / ".join(f"{mean(list(values)):.0f}" for values in zip(*(one.tokens for one in some), strict=True))
        print(f"{lang}   {kind:12} {len(some):3}  {hit}   {told:38}  {tokens:18}  {refused:.2f}")
    for lang in sorted({one.question.lang for one in found}):
        decide(lang, [one for one in found if one.question.lang == lang])


def decide(lang: str, found: list[Found]) -> None:
    inside = [one.probability for one in found if one.question.answerable]
    outside = [one.probability for one in found if not one.question.answerable]
    print(
        f"{lang}: area under the ROC curve {area(inside, outside):.3f} ({len(inside)} answerable, {len(outside)} not)"
    )
    for threshold in THRESHOLDS:
        wrong, right = (mean([value < threshold for value in values]) for values in (inside, outside))
        print(f"  below {threshold}: refuses {wrong:.2f} of what the pages answer, {right:.2f} of what they do not")


if __name__ == "__main__":
    main()
