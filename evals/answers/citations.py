"""Citation recall and precision as ALCE defines them (Gao et al., "Enabling Large Language Models to Generate Text with
Citations", EMNLP 2023, section 4; princeton-nlp/ALCE, eval.py), averaged over answers.

    recall     a sentence counts where it cites something and all that it cites, together, supports it;
               sentences that count / sentences
    precision  a citation counts where its sentence counts, and it supports the sentence alone or the sentence's other
               citations do not support it without it; citations that count / citations, 0 where there is none

ALCE asks a language model for entailment; here it is the measure that checks answers in the gateway (rag/support.py).
Sentences that claim nothing (a lead-in, a heading) are not counted. A quotation is cited as a whole: the marker at its
end stands for all its sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from data.sentences import claims
from evals.answers.reply import Answer

Entails = Callable[[int, tuple[int, ...]], bool]
"""Whether these sources together support the sentence of this number (from 0)."""

_QUOTATION = re.compile(r"(?:^[ ]{0,3}>.*(?:\n|\Z))+", re.MULTILINE)


def alce(cited: Sequence[Sequence[int]], entails: Entails) -> tuple[float, float]:
    """Precision and recall of one answer. ``cited``: for each sentence (one or more), the sources it cites."""
    counted = supported = 0
    for sentence, numbers in enumerate(cited):
        sources = tuple(dict.fromkeys(numbers))
        if not sources or not entails(sentence, sources):
            continue
        supported += 1
        counted += sum(_needed(sentence, source, sources, entails) for source in sources)
    total = sum(len(set(numbers)) for numbers in cited)
    return counted / total if total else 0.0, supported / len(cited)


def _needed(sentence: int, source: int, sources: tuple[int, ...], entails: Entails) -> bool:
    others = tuple(other for other in sources if other != source)
    return not others or entails(sentence, (source,)) or not entails(sentence, others)


def cited_sentences(answer: Answer) -> list[tuple[str, bool, tuple[int, ...]]]:
    """Each sentence of an answer, whether it is code, and the sources that it cites."""
    quotations = [match.span() for match in _QUOTATION.finditer(answer.text)]
    found = []
    for span in claims(answer.text):
        start, end = next((q for q in quotations if q[0] <= span.start < q[1]), (span.start, span.end))
        numbers = tuple(dict.fromkeys(mark.n for mark in answer.markers if start <= mark.start < end))
        found.append((answer.text[span.start : span.end], span.code, numbers))
    return found
