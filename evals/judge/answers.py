"""One answer, judged: which of its sentences the pages say, and which facts it states that have no keys.

Facts with keys stay as they were matched: a model is not asked what a comparison tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.chat.calls import Call, TurnedDown
from data.chat.window import Rank, Window
from data.citations import strip_markers
from data.sentences import claims
from evals.judge.prompts import Case, single_messages
from evals.judge.replies import UNPARSABLE, single
from evals.judge.results import AnswerVerdict
from evals.questions import Question
from evals.runs import Result


def open_facts(gold: Question | None) -> tuple[str, ...]:
    """The facts of a question that only a reader can find in an answer."""
    return tuple(fact.text for fact in gold.facts if not fact.keys) if gold and gold.answerable else ()


def is_judged(result: Result) -> bool:
    """A refusal claims and states nothing; what failed is no answer."""
    return not (result.refused or result.failed) and bool(result.answer.strip())


async def judge_answer(
    result: Result, case: Case, facts: Sequence[str], window: Window, place: int
) -> AnswerVerdict | None:
    """The verdict; None where there is nothing to ask: no pages to hold it against, and no facts."""
    text = strip_markers(result.answer)
    said = tuple(text[span.start : span.end] for span in claims(text)) if case.docs else ()
    if not said and not facts:
        return None
    messages = single_messages(case, said, facts)
    call = Call("judge", messages, max_tokens=200 + 8 * (len(said) + len(facts)), temperature=0.0)
    try:
        found = single(await window.ask(call, Rank(0, place)), len(said), len(facts))
    except TurnedDown as error:
        return AnswerVerdict(id=result.id, arm=result.arm, sentences=said, problem=problem_of(error))
    return AnswerVerdict(
        id=result.id,
        arm=result.arm,
        sentences=said,
        supported=tuple(word == "yes" for word in found.sentences),
        stated={fact: word == "yes" for fact, word in zip(facts, found.facts, strict=True)},
    )


def problem_of(error: TurnedDown) -> str:
    """Why there is no verdict."""
    return "unparsable" if error.gate in UNPARSABLE else "failed"


def with_verdicts(
    results: Sequence[Result], verdicts: Sequence[AnswerVerdict], gold: Mapping[str, Question]
) -> tuple[Result, ...]:
    """The results with what the judge found, where it found something."""
    known = {(verdict.id, verdict.arm): verdict for verdict in verdicts if not verdict.problem}
    return tuple(_with(result, known.get((result.id, result.arm)), gold.get(result.id)) for result in results)


def _with(result: Result, verdict: AnswerVerdict | None, gold: Question | None) -> Result:
    if verdict is None:
        return result
    changes: dict[str, object] = {"judge": verdict.share}
    if verdict.stated and gold:
        missing = tuple(
            fact.text for fact in gold.facts if not verdict.stated.get(fact.text, fact.text not in result.missing)
        )
        changes |= {"facts_recalled": 1 - len(missing) / len(gold.facts), "missing": missing}
    return result.model_copy(update=changes)
