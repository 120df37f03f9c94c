"""One answer, measured: question, answer and evidence in, a Result out. A measure that makes no sense is left out."""

from __future__ import annotations

from typing import Any

from data.feedback import Turn
from evals.answers.citations import alce, cited_sentences
from evals.answers.degenerate import degenerate
from evals.answers.evidence import Evidence
from evals.answers.facts import facts_recalled
from evals.answers.faithful import faithful
from evals.answers.likeness import chrf
from evals.answers.reply import Answer
from evals.answers.steps import completeness
from evals.answers.text import visible
from evals.questions import Question
from evals.runs import Result

CITES = ("rag", "sft-rag")
"""Arms whose answers carry citations."""


def measure(question: Question, answer: Answer, evidence: Evidence) -> Result:
    """A refusal states no fact, and claims and cites nothing."""
    missing, scores = _against_gold(question, answer, evidence)
    if not answer.refused:
        scores |= _against_pages(question, answer, evidence)
    return Result(
        id=question.id,
        arm=answer.arm,
        question=question.question,
        lang=question.lang,
        topic=question.topic,
        kind=question.kind,
        answerable=question.answerable,
        refused=answer.refused,
        degenerate="" if answer.refused else degenerate(answer.text, answer.finish_reason),
        degraded=answer.degraded,
        failed=answer.failed,
        first_ms=answer.first_ms,
        latency_ms=answer.latency_ms,
        tokens=answer.tokens,
        length=visible(answer.text),
        reference_length=visible(question.reference) or None,
        answer=answer.text,
        sources=tuple(dict.fromkeys(source.url for source in answer.sources)),
        missing=missing,
        history=tuple(Turn(role=turn.role, content=turn.content) for turn in question.history),
        **scores,
    )


def _against_gold(question: Question, answer: Answer, evidence: Evidence) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The facts that are missing, and what is known by facts and reference."""
    if not question.answerable:
        return (), {}
    text = "" if answer.refused else answer.text
    scores: dict[str, Any] = {}
    missing: tuple[str, ...] = ()
    if question.facts:
        scores["facts_recalled"], lacking = facts_recalled(question.facts, text, evidence.weigh)
        missing = tuple(fact.text for fact in lacking)
    if question.facts and question.kind == "steps":
        scores["completeness"] = completeness(question.facts, text, evidence.weigh)
    if question.reference and not answer.refused:
        scores["chrf"] = chrf(text, question.reference)
    return missing, scores


def _against_pages(question: Question, answer: Answer, evidence: Evidence) -> dict[str, Any]:
    scores: dict[str, Any] = {"faithful": faithful(question, answer, evidence)}
    if (answer.by or answer.arm) in CITES and answer.text.strip():
        scores |= _citations(answer, evidence)
    return scores


def _citations(answer: Answer, evidence: Evidence) -> dict[str, float]:
    sources = {source.n: source for source in answer.sources}
    found = [(evidence.claim(text, code), numbers) for text, code, numbers in cited_sentences(answer)]
    claims = [(claim, numbers) for claim, numbers in found if claim]
    if not claims:
        return {}

    def entails(sentence: int, numbers: tuple[int, ...]) -> bool:
        cited = [sources[n] for n in numbers if n in sources]
        return bool(cited) and evidence.supports(claims[sentence][0], cited)

    precision, recall = alce([numbers for _, numbers in claims], entails)
    return {"citation_precision": precision, "citation_recall": recall}
