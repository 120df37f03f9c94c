"""A draft, held against its page: what the page does not say is taken out, and a draft without facts is none.

By the measures that answers will be scored with (evals/answers): a key that the page or the reference does not have
would be recalled by no right answer, one that the question has by every answer. Keys that fail are dropped: then a
sentence must say the fact.
"""

from __future__ import annotations

import re
from dataclasses import replace

from data.chat.calls import TurnedDown
from data.lang import detect_lang
from data.prompts import REFUSAL, prompt_lang
from data.sentences import claims
from evals.answers.evidence import Evidence
from evals.answers.facts import place, recalled
from evals.answers.steps import completeness
from evals.answers.text import normalised, said
from evals.drafts.parts import Job
from evals.drafts.replies import Draft, DraftFact
from evals.questions import Earlier, Fact, Kind, Question
from rag.support import best_support

_THE_TEXT = re.compile(
    r"\b(?:the|this|that) (?:text|passage|page|section|document|excerpt)s?\b|文中|本页|本文|上文|这段|段落|该页",
    re.IGNORECASE,
)


def checked(draft: Draft, job: Job) -> tuple[Question, tuple[str, ...]]:
    """The question, its id empty, and sentences of its reference that the page does not evidently say. TurnedDown."""
    page, kind = job.part.page, job.kind
    if prompt_lang(detect_lang(draft.question)) != prompt_lang(page.lang):
        raise TurnedDown("language", "asks in another language than the page")
    if found := _THE_TEXT.search(draft.question):
        raise TurnedDown("text", f"speaks of the text that nobody sees: {found[0]!r}")
    bare = Question("", draft.question, page.lang, source="draft", kind=kind, topic=page.title)
    if kind == "unanswerable":
        return replace(bare, answerable=False), ()
    evidence = Evidence(None, [page])
    facts = tuple(fact for one in draft.facts if (fact := _fact(one, draft, page.body, page.url, evidence)))
    if not facts:
        raise TurnedDown("facts", "none of its facts stands both in the page and in the reference")
    question = replace(
        bare,
        pages=(page.url,),
        answer_span=next((fact.text for fact in facts if fact.text in page.body), ""),
        facts=facts,
        kind=_kind(kind, facts, draft.reference),
        history=_history(draft) if kind == "follow-up" else (),
        reference=draft.reference,
    )
    return question, _doubtful(draft.reference, page.url, evidence)


def _fact(one: DraftFact, draft: Draft, body: str, url: str, evidence: Evidence) -> Fact | None:
    """The fact, with its keys where they hold; None where the page or the reference does not state it."""
    if not _stands(one.text, url, evidence):
        return None
    keyed = Fact(one.text, tuple(tuple(key.strip() for key in group) for group in one.keys))
    if keyed.keys and _keys_hold(keyed, draft, body):
        return keyed
    plain = Fact(one.text)
    return plain if recalled(plain, draft.reference) else None


def _keys_hold(fact: Fact, draft: Draft, body: str) -> bool:
    if any(not group or not all(group) or any(key.startswith("re:") for key in group) for group in fact.keys):
        return False
    given = (draft.question, draft.first, draft.answer, *REFUSAL.values())
    return (
        place(fact.keys, said(body)) is not None
        and recalled(fact, fact.text)
        and recalled(fact, draft.reference)
        and not any(recalled(fact, text) for text in given if text)
    )


def _stands(text: str, url: str, evidence: Evidence) -> bool:
    """Whether the page says so, as an answer's sentence is judged (rag/support.py)."""
    claim, sources = evidence.claim(text), evidence.pages([url])
    if claim is None:
        return any(normalised(text) in normalised(source.text) for source in sources)
    return bool(sources) and best_support(claim, sources).supported


def _kind(kind: Kind, facts: tuple[Fact, ...], reference: str) -> Kind:
    """Steps are steps where there are several and the reference says them in their order."""
    if kind == "steps" and (len(facts) < 2 or completeness(facts, reference) < 1):
        return "single"
    return kind


def _history(draft: Draft) -> tuple[Earlier, ...]:
    return (Earlier("user", draft.first), Earlier("assistant", draft.answer))


def _doubtful(reference: str, url: str, evidence: Evidence) -> tuple[str, ...]:
    sentences = [reference[span.start : span.end] for span in claims(reference) if not span.code]
    return tuple(sentence for sentence in sentences if not _stands(sentence, url, evidence))
