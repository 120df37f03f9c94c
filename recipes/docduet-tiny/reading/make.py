"""A slice of pages to its tasks: draw drafts by kind, ask in other words, show passages, answer or refuse.

Everything is decided by one random generator, seeded with the run's seed and the slice's name.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from data.prompts import refusal_text
from reading import people, refusals, show
from reading.drafts import drafts, unnumbered
from reading.foreign import foreign_questions
from reading.harder import harder
from reading.parts import Draft, Passage, Piece, Slice, Task
from sft.rules.paraphrase import paraphrases

KINDS = {"fact": 0.50, "keywords": 0.04, "two": 0.09, "heading": 0.15, "rules": 0.18, "faq": 0.04}
"""Shares of what is answered; what a slice lacks of one kind the facts fill."""

REFUSED = 0.2
REWORDED = 0.8
HARDER = 0.6
"""Of all questions, answered or refused, so that a story says nothing about which it will be."""

FOLLOWING = 0.8
"""Of facts that can be asked about with "it", or with "and X?", after another one: how many are."""

WHAT_ABOUT = {
    "en": ("And {s}?", "What about {s}?", "And what about {s}?", "How about {s}?", "Same question for {s}."),
    "zh": ("{s}呢？", "那{s}呢？", "{s}又如何？", "那么{s}呢？"),
}

FINDABLE = 8
"""A question is clear when its answer is among so many passages found for it."""

IN_CONTEXT = 0.12
CHANGED_SUBJECT = 0.03
"""Of single questions: how many stand in a conversation about something else."""

_LINK = re.compile(r"!?\[([^\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_NUMBER = re.compile(r"\[\d{1,3}\]")
"""What a page has of this, an answer that quotes it cannot tell from a marker."""

HISTORY_CHARS = 500


def tasks_of(slice_: Slice, seed: int, asked_elsewhere: Callable[[str], bool]) -> tuple[list[Task], list[Passage]]:
    """The slice's tasks, and the passages that they show. ``asked_elsewhere``: whether an evaluation asks a question."""
    rng = random.Random(f"{seed} {slice_.name}")
    shelf = show.Shelf(slice_)
    if len(shelf.pool) < 2:
        return [], []
    found = list(drafts(slice_, rng))
    if not found:
        return [], []
    maker = _Maker(shelf, found, rng)
    tasks: list[Task] = []
    for draft in drawn(found, slice_.wanted, rng):
        task = maker.task(draft)
        if task and not asked_elsewhere(task.question):
            tasks.append(task)
    shown = {number for task in tasks for number in task.passages}
    return tasks, [one for one in shelf.used.values() if one.id in shown]


def tasks_of_people(
    slice_: Slice, found: Sequence[Draft], times: int, seed: int, asked_elsewhere: Callable[[str], bool]
) -> tuple[list[Task], list[Passage]]:
    """Tasks of ``found``, questions in people's words, each ``times`` over other passages; and what they show."""
    rng = random.Random(f"{seed} {slice_.name}")
    shelf = show.Shelf(slice_)
    if len(shelf.pool) < 2:
        return [], []
    maker = _Maker(shelf, found, rng)
    made = (maker.task(draft) for draft in found for _ in range(times))
    tasks = [task for task in made if task and not asked_elsewhere(task.question)]
    shown = {number for task in tasks for number in task.passages}
    return tasks, [one for one in shelf.used.values() if one.id in shown]


def drawn(found: Sequence[Draft], wanted: int, rng: random.Random) -> list[Draft]:
    """So many drafts, by kind as KINDS says; where there are too few, they come again (and are asked differently)."""
    groups: dict[str, list[Draft]] = defaultdict(list)
    for draft in found:
        groups["keywords" if draft.kind == "fact-keywords" else draft.kind.split("-")[0]].append(draft)
    chosen: list[Draft] = []
    for kind, share in KINDS.items():
        pool = groups.get(kind, [])
        rng.shuffle(pool)
        chosen += pool[: round(wanted * share)]
    spare = [
        draft for kind, pool in groups.items() for draft in pool[round(wanted * KINDS[kind]) :] if kind != "keywords"
    ]
    rng.shuffle(spare)
    chosen += spare[: max(0, wanted - len(chosen))]
    if len(chosen) < wanted:
        chosen += rng.sample(chosen, min(len(chosen), wanted - len(chosen)))
    rng.shuffle(chosen)
    return chosen


class _Maker:
    """``found``: all drafts of the slice."""

    def __init__(self, shelf: show.Shelf, found: Sequence[Draft], rng: random.Random) -> None:
        self.shelf, self.rng = shelf, rng
        self.lang, self.split = shelf.slice.lang, shelf.slice.split
        self.names = refusals.names_of([draft.question for draft in found])
        self.named = [draft for draft in found if refusals.names_of([draft.question]) and not draft.history]
        self.subjects = [draft for draft in found if draft.subject and draft.kind.startswith("fact-")]
        self.about: dict[tuple[int, str], list[Draft]] = defaultdict(list)
        self.alike: dict[tuple[int, str], list[Draft]] = defaultdict(list)
        self.on_page: dict[int, list[Draft]] = defaultdict(list)
        for draft in found:
            if draft.kind == people.KIND or (draft.kind.startswith("fact-") and draft.kind != "fact-keywords"):
                self.on_page[draft.pieces[0].page].append(draft)
                if draft.subject:
                    self.about[draft.pieces[0].page, draft.subject].append(draft)
                    self.alike[draft.pieces[0].page, _form(draft)].append(draft)

    def task(self, draft: Draft) -> Task | None:
        if not draft.history and draft.follow and self.rng.random() < FOLLOWING:
            draft = self.following(draft) or draft
        elif not draft.history and self.rng.random() < CHANGED_SUBJECT:
            before = self.rng.choice(self.on_page[draft.pieces[0].page] or [draft])
            draft = replace(draft, history=self.turn(before)) if before is not draft else draft
        return self.refused(draft) if self.rng.random() < REFUSED else self.answered(draft)

    def following(self, draft: Draft) -> Draft | None:
        """The draft as a follow-up to another question about the same thing."""
        page = draft.pieces[0].page
        alike = [one for one in self.alike[page, _form(draft)] if one.subject != draft.subject]
        if alike and self.rng.random() < 0.6:
            follow = self.rng.choice(WHAT_ABOUT[self.lang]).format(s=draft.subject)
            return replace(draft, kind="turns", follow=follow, history=self.turn(self.rng.choice(alike)))
        others = [
            one for one in self.about[page, draft.subject] if one.pieces != draft.pieces and one.kind != draft.kind
        ]
        if not others:
            return None
        return replace(draft, kind="turns", history=self.turn(self.rng.choice(others)))

    def turn(self, draft: Draft) -> tuple[tuple[str, str], ...]:
        said = "\n".join(unlinked(piece.text) for piece in draft.pieces)
        return ((self.worded(draft), said[:HISTORY_CHARS]),)

    def worded(self, draft: Draft) -> str:
        """The draft's question as it is asked: what is made of two questions or of keywords is in other words already."""
        if draft.kind == people.KIND:
            return draft.question
        if draft.kind in ("two", "fact-keywords"):
            told = draft.kind == "two" and self.rng.random() < HARDER
            return harder(draft.question, self.lang, self.rng) if told else draft.question
        return self.reworded(draft.follow) if draft.kind == "turns" else self.asked(draft.question)

    def asked(self, question: str) -> str:
        """In other words, mostly; some told at length and with few words of their own left."""
        said = self.reworded(question)
        return harder(said, self.lang, self.rng) if self.rng.random() < HARDER else said

    def reworded(self, question: str) -> str:
        if self.rng.random() < REWORDED:
            found = paraphrases(question, self.lang, self.rng, 1)
            return found[0] if found else question
        return question

    def clear(self, draft: Draft, gold: Sequence[int]) -> bool:
        """Whether a search for the question finds the answer: what it does not find is mostly too vague to be asked."""
        found = self.shelf.near(draft.question)[:FINDABLE]
        return any(place in found for place in gold)

    def in_context(self, draft: Draft) -> Draft:
        """Sometimes with the page's title: "In SELECT, what does ..."."""
        title = unnumbered(self.shelf.slice.pages[draft.pieces[0].page].title)
        plain = draft.kind.startswith("fact-") and draft.kind != "fact-keywords" and not draft.history
        if not plain or len(title) > 40 or re.search(r"[?？:：,，]", title) or self.rng.random() > IN_CONTEXT:
            return draft
        asked = draft.question
        small = asked if re.match(r"I\b|`|[A-Z]{2}", asked) else asked[:1].lower() + asked[1:]
        return replace(draft, question=f"在{title}中，{asked}" if self.lang == "zh" else f"In {title}, {small}")

    def answered(self, draft: Draft) -> Task | None:
        parts = show.said_by(self.shelf, replace(draft, pieces=tuple(map(_said, draft.pieces))))
        if not parts or len({place for _, place in parts}) > 4 or any(_NUMBER.search(text) for text, _ in parts):
            return None
        if draft.kind not in ("two", people.KIND) and not self.clear(draft, [place for _, place in parts]):
            return None
        draft = self.in_context(draft)
        question = self.worded(draft)
        query = draft.question if draft.history else question
        shown = show.arranged(self.shelf, query, [place for _, place in parts], self.rng)
        numbers = {place: self.number(shown, place) for _, place in parts}
        if not all(numbers.values()):
            return None
        told = [(text, number) for text, place in parts if (number := numbers[place])]
        one_line = all("\n" not in text for text, _ in told)
        answer = show.written(told, separate=draft.kind == "two" and one_line)
        return self.made(draft, question, shown, answer, draft.kind)

    def number(self, shown: Sequence[Passage], place: int) -> int | None:
        """Which of the shown passages holds a chunk, from 1."""
        page, at = self.shelf.pool[place]
        chunk = self.shelf.cut[page][at]
        for number, passage in enumerate(shown, start=1):
            if passage.page == page and passage.start <= chunk.start and chunk.end <= passage.end:
                return number
        return None

    def refused(self, draft: Draft) -> Task | None:
        roll = self.rng.random()
        if roll >= refusals.SWAPPED:
            question = self.asked(self.rng.choice(foreign_questions(self.lang, self.rng)))
            shown = show.opened(self.shelf, self.shelf.near(question)[: show.count_of(self.rng)], self.rng)
            return self.made(replace(draft, history=()), question, shown, "", "refusal-foreign")
        if refusals.MISSING <= roll < refusals.ATTRIBUTE and self.subjects:
            for _ in range(3):
                question, shown = refusals.of_attribute(self.shelf, self.rng.choice(self.subjects), self.rng)
                if question:
                    return self.made(replace(draft, history=()), self.asked(question), shown, "", "refusal-attribute")
        if roll >= refusals.ATTRIBUTE and self.named:
            draft = self.rng.choice(self.named)
            other = refusals.swapped(self.shelf, draft, self.names, self.rng)
            if other:
                question = other if draft.kind == people.KIND else self.asked(other)
                shown = show.opened(self.shelf, self.shelf.near(question)[: show.count_of(self.rng)], self.rng)
                if shown and not refusals.stands_in(other, draft.question, shown):
                    return self.made(draft, question, shown, "", "refusal-swapped")
        parts = show.said_by(self.shelf, replace(draft, pieces=tuple(map(_said, draft.pieces))))
        if not parts or draft.kind == "two":
            return None
        question = self.worded(self.in_context(draft))
        shown = refusals.without_gold(self.shelf, draft, draft.question, [place for _, place in parts], self.rng)
        return self.made(draft, question, shown, "", "refusal-missing")

    def made(self, draft: Draft, question: str, shown: Sequence[Passage], answer: str, kind: str) -> Task | None:
        if not shown or not question or (answer and not sound(answer, self.lang)):
            return None
        history = tuple((asked, unlinked(said)[:HISTORY_CHARS]) for asked, said in draft.history[-3:])
        answer = answer or refusal_text(self.lang)
        return Task(tuple(one.id for one in shown), question, history, answer, self.lang, kind, self.split)


def _form(draft: Draft) -> str:
    """The question without its subject: two that are alike may follow each other with "and X?"."""
    return draft.question.replace(draft.subject, "{}")


def sound(answer: str, lang: str) -> bool:
    """Says something, in the language asked in, as one piece: no headings, no labels that lost their boxes."""
    if re.search(r"(?m)^#|^\s*(?:\[\d\]|(?:note|tip|warning|important)(?: \[\d\])?)\s*$", answer, re.IGNORECASE):
        return False
    han, letters = len(re.findall(r"[\u4e00-\u9fff]", answer)), len(re.findall(r"[A-Za-z]{2,}", answer))
    return han + letters >= 3 and (han >= letters / 2 if lang == "zh" else not han)


def unlinked(text: str) -> str:
    """Links as their text: an answer cites, it does not link."""
    return _LINK.sub(r"\1", text)


def _said(piece: Piece) -> Piece:
    return replace(piece, text=unlinked(piece.text))
