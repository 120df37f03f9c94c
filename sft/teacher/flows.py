"""From one job of the plan to its samples: ask for questions, answer them as the ``rag`` voice does, have them judged.

Each flow is a coroutine over a `Lesson`; what fails becomes a Reject with its reason, and the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from data.chat.calls import Call, Reply, TurnedDown
from data.chat.window import Rank, Window
from data.citations import strip_markers
from data.prompts import Message, base_messages, prompt_lang, rag_messages, refusal_text, sft_messages
from data.types import Page
from sft.gates import Gate, sift
from sft.nearest import Candidate
from sft.rules.text import clean, number_of
from sft.standalone import question_needs_page
from sft.teacher import prompts, replies
from sft.teacher.plan import Comparison, Job, Missing, Part, Plan, Replay, WholePage
from sft.teacher.replies import Said
from sft.types import Reject, Sample, Shape

Outcome = Sample | Reject

THINKING_TOKENS = 3000
Kind = Literal["questions", "rewrites", "follow-up", "answer", "judge"]

MAX_TOKENS: dict[Kind, int] = {"rewrites": 800, "follow-up": 200, "answer": 1200, "judge": 120}


@dataclass(frozen=True)
class Settings:
    """``product``: for pages without a product label. ``think_share`` is of answers."""

    model: str
    product: str = ""
    rewrites: int = 1
    think_share: float = 0.0
    judge: bool = True


@dataclass(frozen=True)
class Lesson:
    """One job, and what every flow needs for it."""

    settings: Settings
    window: Window
    plan: Plan
    gates: Sequence[Gate]
    job: int

    async def ask(self, kind: Kind, messages: Sequence[Message], behind: int, **more: Any) -> Reply:
        """``behind``: steps that wait for this one."""
        more.setdefault("max_tokens", MAX_TOKENS.get(kind, 1200))
        return await self.window.ask(Call(kind, tuple(messages), **more), Rank(behind, self.job))

    async def answer(self, messages: Sequence[Message], behind: int, thinking: bool = False, take: int = 0) -> Reply:
        tokens = MAX_TOKENS["answer"] + (THINKING_TOKENS if thinking else 0)
        return await self.ask("answer", messages, behind, max_tokens=tokens, thinking=thinking, take=take)

    def thinks(self, question: str) -> bool:
        """Whether the answer to this question thinks first: by share, always the same for the same question."""
        return number_of("think", question) % 10_000 < self.settings.think_share * 10_000

    def product(self, page: Page) -> str:
        return page.labels.get("product", "") or self.settings.product

    def sample(
        self,
        shape: Shape,
        messages: Sequence[Message],
        said: Said,
        pages: Sequence[Page],
        family: str,
        support: str,
        lang: str,
    ) -> Sample:
        text = f"<think>\n{said.thinking}\n</think>\n\n{said.text}" if said.thinking else said.text
        return Sample(
            messages=(*messages, Message(role="assistant", content=text)),
            shape=shape,
            lang=lang,
            pages=tuple(page.url for page in pages),
            page_hashes=tuple(page.content_hash for page in pages),
            generator=f"teacher:{self.settings.model}",
            family=family,
            support=support,
            thinks=bool(said.thinking),
            judged=self.settings.judge,
        )

    def reject(
        self, why: TurnedDown, shape: Shape, pages: Sequence[Page], question: str, lang: str, written: str = ""
    ) -> Reject:
        """What did not become a sample: the question, and what the teacher wrote to it."""
        said = Said(written or "(nothing)")
        return Reject(
            self.sample(shape, sft_messages(question, (), lang), said, pages, "", "", lang), why.gate, why.reason
        )

    async def judged(self, sample: Sample, passages: Sequence[Candidate], criteria: Sequence[str]) -> Outcome:
        """The sample when all gates and the judge let it pass, else why not."""
        sifted = next(sift([sample], self.gates))
        if isinstance(sifted, Reject):
            return sifted
        if not self.settings.judge:
            return sample
        talk = [Message(role="user", content=q) for q in sample.questions]
        talk = [
            turn for q, a in zip(talk, sample.said, strict=True) for turn in (q, Message(role="assistant", content=a))
        ]
        asked = prompts.verdict(passages, talk, criteria, sample.lang)
        try:
            replies.verdict(await self.ask("judge", asked, 0, temperature=0.0), criteria)
        except TurnedDown as why:
            return Reject(sample, why.gate, why.reason)
        return sample


async def run(lesson: Lesson, job: Job) -> list[Outcome]:
    """All outcomes of a job, in an order that does not depend on who answered first."""
    if isinstance(job, Part):
        from sft.teacher.part import part

        return await part(lesson, job)
    if isinstance(job, WholePage):
        return await whole_page(lesson, job)
    if isinstance(job, Comparison):
        return await comparison(lesson, job)
    if isinstance(job, Missing):
        return await missing(lesson, job)
    return await replay(lesson, job)


async def probe(lesson: Lesson, job: Job) -> None:
    """Make a job's first call, for the time it takes."""
    kind, messages, more = opening(lesson, job)
    with suppress(TurnedDown):
        if isinstance(job, Replay):
            await lesson.answer(messages, 1, lesson.thinks(job.prompt), job.round)
        else:
            await lesson.ask(kind, messages, 4, **more)


def opening(lesson: Lesson, job: Job) -> tuple[Kind, tuple[Message, ...], dict[str, Any]]:
    """The first call of a job: what it is, its messages, its parameters."""
    if isinstance(job, Part):
        asked = prompts.questions(job.passages, job.wanted, job.page.lang, lesson.product(job.page))
        return "questions", asked, {"max_tokens": 200 + 130 * len(job.wanted)}
    if isinstance(job, WholePage):
        asked = prompts.whole_page(shown(lesson, job.page), job.page.lang, lesson.product(job.page))
        return "questions", asked, {"max_tokens": 300}
    if isinstance(job, Comparison):
        first, second = job.pages
        titles = (first.title, second.title)
        asked = prompts.comparison(job.passages, titles, job.count, first.lang, lesson.product(first))
        return "questions", asked, {"max_tokens": 200 + 130 * job.count}
    if isinstance(job, Missing):
        asked = prompts.missing(job.passages, job.count, job.page.lang, lesson.product(job.page))
        return "questions", asked, {"max_tokens": 200 + 130 * job.count}
    messages = tuple(base_messages(job.prompt, (), job.lang))
    return "answer", messages, {}


async def asked_for(
    lesson: Lesson, job: Job, shape: Shape, pages: Sequence[Page]
) -> tuple[list[replies.Asked], list[Outcome]]:
    """The questions of the opening call, each once, and what came instead of others."""
    kind, messages, more = opening(lesson, job)
    lang, told, written = pages[0].lang, f"({kind} about {', '.join(page.url for page in pages)})", ""
    try:
        reply = await lesson.ask(kind, messages, 4, **more)
        written = reply.text
        found = replies.question_list(reply)
    except TurnedDown as why:
        return [], [lesson.reject(why, shape, pages, told, lang, written)]
    good: dict[str, replies.Asked] = {}
    bad: list[Outcome] = []
    for one in found:
        if isinstance(one, str):
            fault = TurnedDown("unparsable", one)
        elif one.question.lower() in good:
            fault = TurnedDown("exact-duplicate", "asked twice in one list")
        elif pointing := question_needs_page(one.question):
            fault = TurnedDown("standalone", f"the question points at the page: {pointing!r}")
        else:
            good[one.question.lower()] = one
            continue
        asked = told if isinstance(one, str) else one.question
        bad.append(lesson.reject(fault, shape, pages, asked, lang, written if isinstance(one, str) else ""))
    return list(good.values()), bad


async def whole_page(lesson: Lesson, job: WholePage) -> list[Outcome]:
    """One question; the cleaned page is the answer."""
    page = job.page
    kind, messages, more = opening(lesson, job)
    written = ""
    try:
        reply = await lesson.ask(kind, messages, 4, **more)
        written = reply.text
        question = replies.one_question(reply)
    except TurnedDown as why:
        return [lesson.reject(why, "whole-page", [page], f"(whole page {page.url})", page.lang, written)]
    asked = sft_messages(question, (), page.lang)
    said = Said(clean(page.body))
    sample = lesson.sample("whole-page", asked, said, [page], f"page:{page.url}", page.body, page.lang)
    return [await lesson.judged(sample, (), ("self_contained", "sensible"))]


async def comparison(lesson: Lesson, job: Comparison) -> list[Outcome]:
    found, outcomes = await asked_for(lesson, job, "comparison", job.pages)
    lang = job.pages[0].lang
    urls = "|".join(sorted(page.url for page in job.pages))
    answers = [
        answered(lesson, "comparison", one.question, job.passages, job.pages, f"compare:{urls}:{at}", lang)
        for at, one in enumerate(found[: job.count])
    ]
    return [*outcomes, *await gathered(answers)]


async def missing(lesson: Lesson, job: Missing) -> list[Outcome]:
    found, outcomes = await asked_for(lesson, job, "unanswerable", [job.page])
    return [*outcomes, *await gathered(_missed(lesson, job, one.question) for one in found[: job.count])]


async def _missed(lesson: Lesson, job: Missing, question: str) -> Outcome:
    """Asked with the nearest passages of all pages, the teacher must refuse."""
    page, lang = job.page, job.page.lang
    near = lesson.plan.passages[lang].near(question, 6, lambda _: True)
    written = ""
    try:
        reply = await lesson.answer(rag_messages(question, near, (), lang), 1)
        written = replies.written(reply, thinking=False).text
        if not replies.refused(strip_markers(written), lang):
            raise TurnedDown("answerable", "the docs answer it after all, or the teacher thinks so")
    except TurnedDown as why:
        return lesson.reject(why, "unanswerable", [page], question, lang, written)
    asked, family = sft_messages(question, (), lang), f"missing:{page.url}"
    sample = lesson.sample("unanswerable", asked, Said(refusal_text(lang)), [page], family, "", lang)
    return await lesson.judged(sample, (), ("self_contained",))


async def replay(lesson: Lesson, job: Replay) -> list[Outcome]:
    """A general prompt, answered without passages: what the model could do before."""
    _, messages, _ = opening(lesson, job)
    thinking = lesson.thinks(job.prompt)
    written = ""
    try:
        reply = await lesson.answer(messages, 1, thinking, job.round)
        written = reply.text
        said = replies.written(reply, thinking)
    except TurnedDown as why:
        return [lesson.reject(why, "replay", [], job.prompt, job.lang, written)]
    asked, family = sft_messages(job.prompt, (), job.lang), f"replay:{job.prompt}"
    sample = lesson.sample("replay", asked, said, [], family, "", job.lang)
    return [await lesson.judged(sample, (), ("sensible",))]


async def answered(
    lesson: Lesson,
    shape: Shape,
    question: str,
    passages: Sequence[Candidate],
    pages: Sequence[Page],
    family: str,
    lang: str,
) -> Outcome:
    """One question, answered from ``passages``; their markers do not stay."""
    thinking = lesson.thinks(question)
    written = ""
    try:
        reply = await lesson.answer(with_passages(question, passages, (), lang, thinking), 1, thinking)
        written = reply.text
        said = unmarked(replies.answer(reply, lang, thinking), passages)
    except TurnedDown as why:
        return lesson.reject(why, shape, pages, question, lang, written)
    support = "\n".join(one.text for one in passages)
    sample = lesson.sample(shape, sft_messages(question, (), lang), said, pages, family, support, lang)
    return await lesson.judged(sample, passages, ("supported", "self_contained"))


def with_passages(
    question: str, passages: Sequence[Candidate], history: Sequence[Message], lang: str, thinking: bool
) -> list[Message]:
    """As the ``rag`` voice asks; where the answer thinks, thinking must not speak of what the model will not see."""
    told = prompts.WITHOUT_THE_PASSAGES[prompt_lang(lang)] if thinking else ""
    return rag_messages(question, passages, history, lang, told)


def unmarked(said: Said, passages: Sequence[Candidate]) -> Said:
    """Without citation markers. Raises TurnedDown for an answer that speaks of its passages."""
    text = strip_markers(said.text).strip()
    told = replies.speaks_of_passages(text, "\n".join(one.text for one in passages))
    if told:
        raise TurnedDown("leak", f"speaks of the passages ({told!r})")
    if not text:
        raise TurnedDown("empty", "nothing but citation markers")
    return replace(said, text=text)


def shown(lesson: Lesson, page: Page) -> tuple[Candidate, ...]:
    """The page's passages, all of them."""
    return tuple(lesson.plan.passages[page.lang].of(page))


async def gathered(outcomes: Iterable[Awaitable[Outcome]]) -> list[Outcome]:
    return list(await asyncio.gather(*outcomes))
