"""Faithfulness: of what an answer claims, the share that the pages say.

    faithful = claims that a passage of the question's gold pages or of the cited ones supports / claims

As in RAGAS (Es et al., arXiv 2309.15217), with rag/support.py in the place of a language model, and with the gold pages
beside what was retrieved, so that an answer without citations is measured alike.
"""

from __future__ import annotations

from data.sentences import claims
from evals.answers.evidence import Evidence
from evals.answers.reply import Answer
from evals.questions import Question
from rag.support import best_support


def faithful(question: Question, answer: Answer, evidence: Evidence) -> float | None:
    """None where the answer claims nothing, or nothing is there to hold it against."""
    pages = evidence.pages((*question.pages, *(source.url for source in answer.sources)))
    if not pages and not answer.sources:
        return None
    found = [answer.text[span.start : span.end] for span in claims(answer.text) if not span.code]
    known = [claim for sentence in found if (claim := evidence.claim(sentence))]
    if not known:
        return None
    right = sum(
        bool(pages and best_support(claim, pages).supported)
        or any(evidence.supports(claim, [source]) for source in answer.sources)
        for claim in known
    )
    return right / len(known)
