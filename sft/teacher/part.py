"""Questions about neighbouring passages of one page: asked in several ways, in conversations, or among distractors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from data.chat.calls import TurnedDown
from data.citations import strip_markers
from data.prompts import Message, rag_messages, refusal_text, sft_messages
from sft.nearest import Candidate, shuffled_in
from sft.rules.raft import PASSAGES, WITHOUT_GOLD
from sft.rules.text import number_of
from sft.standalone import question_needs_page
from sft.teacher import prompts, replies
from sft.teacher.flows import Lesson, Outcome, answered, asked_for, gathered, unmarked
from sft.teacher.plan import REWRITTEN, Part
from sft.teacher.replies import Said
from sft.types import Shape

REWRITE_ROUNDS = 2
"""Teachers that send too few different ways to ask are asked once more."""


async def part(lesson: Lesson, job: Part) -> list[Outcome]:
    found, outcomes = await asked_for(lesson, job, job.wanted[0].shape, [job.page])
    flows = []
    lines: set[int] = set()
    for one in found:
        if not 1 <= one.line <= len(job.wanted) or one.line in lines or one.passage > len(job.passages):
            why = TurnedDown("unparsable", f"line {one.line}, passage {one.passage}: nobody asked for that")
            outcomes.append(lesson.reject(why, job.wanted[0].shape, [job.page], one.question, job.page.lang))
            continue
        lines.add(one.line)
        shape = job.wanted[one.line - 1].shape
        family = f"teacher:{job.page.url}@{job.passages[0].chunk.start}:{one.line}"
        flows.append(_of_question(lesson, job, one, shape, family))
    for some in await asyncio.gather(*flows):
        outcomes += some
    return outcomes


async def _of_question(lesson: Lesson, job: Part, one: replies.Asked, shape: Shape, family: str) -> list[Outcome]:
    if shape == "multi-turn":
        return await _talk(lesson, job, one.question, family)
    if shape == "raft":
        return [await _among_others(lesson, job, one, family)]
    first = answered(lesson, shape, one.question, job.passages, [job.page], family, job.page.lang)
    if shape not in REWRITTEN or lesson.settings.rewrites < 2:
        return [await first]
    own, others = await asyncio.gather(first, _in_other_ways(lesson, job, one.question, shape, family))
    return [own, *others]


async def _in_other_ways(lesson: Lesson, job: Part, question: str, shape: Shape, family: str) -> list[Outcome]:
    """The same question as others would ask it, each answered anew."""
    known, lang = [question], job.page.lang
    rejects: list[Outcome] = []
    for _ in range(REWRITE_ROUNDS):
        count = lesson.settings.rewrites - len(known)
        if count < 1:
            break
        try:
            told = replies.strings(await lesson.ask("rewrites", prompts.rewrites(known, count, lang), 3))
        except TurnedDown as why:
            rejects.append(lesson.reject(why, shape, [job.page], question, lang))
            break
        for text in told[:count]:
            if not replies.too_alike(text, known) and not question_needs_page(text):
                known.append(text)
    flows = [answered(lesson, shape, text, job.passages, [job.page], family, lang) for text in known[1:]]
    return [*await gathered(flows), *rejects]


async def _talk(lesson: Lesson, job: Part, question: str, family: str) -> list[Outcome]:
    """Two to four turns. A turn that fails ends the conversation; from two on it is kept."""
    lang, page = job.page.lang, job.page
    turns = 2 + number_of("turns", question) % 3
    talk: list[Message] = []
    rejects: list[Outcome] = []
    said, written = Said(""), ""
    for turn in range(turns):
        last, behind = turn == turns - 1, 2 * (turns - turn)
        try:
            if turn:
                asked = prompts.follow_up(job.passages, talk, lang)
                question = replies.one_question(await lesson.ask("follow-up", asked, behind))
            messages = rag_messages(question, job.passages, talk, lang)
            reply = await lesson.answer(messages, 1 if last else behind - 1)
            written = reply.text
            said = unmarked(replies.answer(reply, lang, thinking=False), job.passages)
        except TurnedDown as why:
            rejects.append(lesson.reject(why, "multi-turn", [page], question, lang, written))
            break
        talk += [Message(role="user", content=question), Message(role="assistant", content=said.text)]
    if len(talk) < 4:
        return rejects
    asked_first = sft_messages(talk[0]["content"], (), lang)
    support = "\n".join(one.text for one in job.passages)
    sample = lesson.sample("multi-turn", [*asked_first, *talk[1:-1]], said, [page], family, support, lang)
    return [await lesson.judged(sample, job.passages, ("supported", "self_contained", "depends")), *rejects]


async def _among_others(lesson: Lesson, job: Part, one: replies.Asked, family: str) -> Outcome:
    """RAFT: the passage that answers among the nearest others, cited; every sixth lacks it, and is refused."""
    page, lang, question = job.page, job.page.lang, one.question
    written = ""
    try:
        if not one.passage:
            raise TurnedDown("unparsable", "the teacher does not say which passage answers")
        gold = job.passages[one.passage - 1]
        missing = number_of("gold", question) % WITHOUT_GOLD == 0
        shown = _shown(lesson, question, gold, job.passages, missing)
        messages = rag_messages(question, shown, (), lang)
        reply = await lesson.answer(messages, 1)
        written = reply.text.strip()
        if missing:
            if not replies.refused(strip_markers(replies.written(reply, False).text), lang):
                raise TurnedDown("answerable", "answered though the passage that answers was not shown")
            said = Said(refusal_text(lang))
        else:
            said = replies.answer(reply, lang, thinking=False)
            check_citations(said.text, len(shown), shown.index(gold) + 1)
    except TurnedDown as why:
        return lesson.reject(why, "raft", [page], question, lang, written)
    support = "" if missing else "\n".join(one.text for one in shown)
    sample = lesson.sample("raft", messages, said, [page], family, support, lang)
    return await lesson.judged(sample, shown, ("self_contained",) if missing else ("supported", "self_contained"))


def _shown(lesson: Lesson, question: str, gold: Candidate, own: Sequence[Candidate], missing: bool) -> list[Candidate]:
    """The gold passage and the nearest ones that are not beside it on its page, in an order of their own."""
    beside = {(one.page.url, one.chunk.start) for one in own}
    passages = lesson.plan.passages[gold.page.lang]
    others = passages.near(question, PASSAGES, lambda one: (one.page.url, one.chunk.start) not in beside)
    if len(others) < PASSAGES - 1:
        raise TurnedDown("too-few-passages", "there are not enough other passages to hide the right one among")
    return others if missing else shuffled_in([gold, *others[: PASSAGES - 1]], question)


def check_citations(text: str, count: int, gold: int) -> None:
    """Raises TurnedDown unless ``text`` cites passage ``gold`` and none above ``count``."""
    numbers = replies.cited(text)
    beyond = sorted(number for number in numbers if not 1 <= number <= count)
    if beyond:
        raise TurnedDown("citation", f"cites passage {beyond[0]} of {count}")
    if gold not in numbers:
        raise TurnedDown("citation", f"does not cite the passage that answers ([{gold}])")
