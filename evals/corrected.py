"""The question set ``feedback``: promoted corrections that are held out from training (data/corrections.py).

The correction is the gold answer. Its sentences are the facts that a complete answer states; a correction that is the
refusal says that the docs hold no answer. The pages are those that whoever corrected said answer it, else those that
were cited, as far as they are synced still; the synced pages are the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from data.citations import strip_markers
from data.corrections import load, questions
from data.errors import ConfigError
from data.feedback import Feedback
from data.home import Home
from data.lang import detect_lang
from data.prompts import REFUSAL
from data.sentences import claims
from data.store import PageStore
from data.text import folded
from data.types import Page
from evals.questions import Fact, Question, QuestionSet

NAME = "feedback"
_REFUSALS = {folded(text) for text in REFUSAL.values()}


def load_corrected(home: Home) -> QuestionSet:
    """All questions of ``home`` that were promoted and are for evaluation. Raises ConfigError where there is none."""
    pages = {page.url: page for page in PageStore(home.pages).pages()}
    entries = questions(load(home.feedback))
    if not entries:
        raise ConfigError(
            "no correction is an evaluation question yet: promote some (`docduet data feedback list`); about one "
            "question in three is kept for evaluation, the others are trained on"
        )
    return QuestionSet(NAME, tuple(_question(entry, pages) for entry in entries), corpus=tuple(pages.values()))


def _question(entry: Feedback, pages: Mapping[str, Page]) -> Question:
    text = strip_markers(entry.correction)
    answerable = folded(text) not in _REFUSALS
    said = tuple(text[span.start : span.end] for span in claims(text)) if answerable else ()
    named = entry.sources if entry.pages is None else entry.pages
    found = tuple(url for url in dict.fromkeys(named) if url in pages) if answerable else ()
    span = next((fact for fact in said if found and _squeezed(fact) in _squeezed(pages[found[0]].body)), "")
    lang = (entry.lang or detect_lang(f"{entry.question}\n{text}"))[:2]
    id = f"{entry.answer_id}-{entry.choice}"
    facts = tuple(Fact(text) for text in said)
    return Question(
        id, entry.question, lang, found, span, NAME, facts, answerable, reference=text if answerable else ""
    )


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
