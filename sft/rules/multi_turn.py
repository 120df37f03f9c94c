"""Conversations of two to four turns on one page, each later question understood only from the earlier ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.sentences import sentences
from sft.rules.blocks import Section
from sft.rules.corpus import Document
from sft.rules.facts import Definition
from sft.rules.scene import Scene
from sft.rules.sections import answer_of as section_answer
from sft.rules.sections import asked_of
from sft.rules.sections import family_of as family_of_section
from sft.rules.single import answer_of, as_value, family_of, says_what_it_is, shown
from sft.rules.text import number_of
from sft.standalone import answer_needs_page
from sft.tokens import estimate
from sft.types import Sample

ONE_IN = 5
"""Of the definitions of a section every fifth begins a conversation."""

_MAX_TURN = 900
_ASKS_MORE = re.compile(r"watch out|should be set|注意|怎么设置|该怎么")
"""Openings that ask for what the second turn asks."""


def samples(scene: Scene) -> Iterator[Sample]:
    for document in scene.documents:
        listed = [one for one in scene.definitions[document.page.url] if one.name and says_what_it_is(one)]
        for at, definition in enumerate(listed):
            following = [one for one in listed[at + 1 : at + 3] if one.section is definition.section]
            if number_of("turns", document.page.url, definition.term) % ONE_IN == 0 and following:
                yield from _about_options(scene, definition, following)
        for section in document.root.walk():
            yield from _about_sections(scene, document, section)


def _about_options(scene: Scene, first: Definition, following: list[Definition]) -> Iterator[Sample]:
    """What does it do - and its default - what about the next one?"""
    lang, place = scene.language, scene.context(first)
    if place is None:
        return
    seed = f"turns {first.document.page.url}#{first.start}"
    slots = {"t": f"`{first.term}`", "k": lang.noun(first.section.heading, first.term), "c": place[0]}
    asked = [one for one in lang.ask("define-name", seed, place[1], **slots) if not _ASKS_MORE.search(one)]
    opening = scene.unused(asked)
    if not opening:
        return
    turns = _opening_turns(scene, first, opening[0], seed)
    for other in following[: 3 - len(turns)]:
        turns.append(
            (lang.ask("follow-other", f"{seed}{other.term}", t=f"`{other.term}`")[0], answer_of(other, scene.lang))
        )
    if len(turns) < 2 or any(answer_needs_page(said) or estimate(said) > _MAX_TURN for _, said in turns):
        return
    support = first.document.page.body[first.start : following[-1].end]
    yield scene.sample("multi-turn", turns, [first.document], family_of(first), support)


def _opening_turns(scene: Scene, first: Definition, question: str, seed: str) -> list[tuple[str, str]]:
    """What it is, and then what that answer left out: the notes, or the default. One turn where nothing can be left."""
    lang, colon = scene.language, "：" if scene.lang == "zh" else ": "
    if first.rest and not first.header:
        said = f"{shown(first)}{colon}{first.text}"
        return [(question, said), (lang.ask("follow-notes", seed)[0], first.rest)]
    default = lang.default(first.text)
    parts = sentences(first.text)
    left = [part for part in parts if not lang.default(part)]
    if not default or first.rest or not left or len(left) == len(parts):
        return [(question, answer_of(first, scene.lang))]
    said = ("" if scene.lang == "zh" else " ").join(left)
    told = lang.ask("answer-default", seed, t=shown(first), v=as_value(default))[0]
    return [(question, f"{shown(first)}{colon}{said}"), (lang.ask("follow-default", seed)[0], told)]


def _about_sections(scene: Scene, document: Document, parent: Section) -> Iterator[Sample]:
    """One subsection after another: "What about Y?" where X was answered."""
    turns: list[tuple[str, str]] = []
    support: list[str] = []
    for child in parent.children[:6]:
        answer = section_answer(scene, document, child)
        name = scene.name(child.heading)
        if answer is None or not name or estimate(answer.text) > _MAX_TURN or len(turns) == 4:
            continue
        if not turns:
            asked = asked_of(scene, document, child)
            fresh = scene.unused(list(asked.questions)) if asked else []
            question = fresh[0] if fresh else ""
        else:
            question = scene.language.ask("follow-section", f"{document.page.url}{name}", h=name)[0]
        if question:
            turns.append((question, answer.text))
            support.append(answer.support)
    if len(turns) >= 2:
        family = family_of_section(scene, document, parent.children[0])
        yield scene.sample("multi-turn", turns, [document], family, "\n\n".join(support))
