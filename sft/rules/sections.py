"""Whole sections as answers: broad questions, how-tos, questions that are headings, lists of options, whole pages."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from data.sentences import sentences
from sft.rules.blocks import Section
from sft.rules.corpus import Document
from sft.rules.facts import Definition
from sft.rules.language import Asked, Heading
from sft.rules.scene import Scene
from sft.rules.single import shown
from sft.rules.text import clean
from sft.standalone import answer_needs_page
from sft.tokens import estimate
from sft.types import Sample, Shape

MAX_TOKENS = 2200
"""A section that is longer is answered in parts: its own text, and each subsection by itself."""

LIST_FROM, LIST_TO = 4, 60
_COMMANDS = ("bash", "shell", "sh", "console", "cmd", "powershell", "zsh")
_TRACE = re.compile(r"Traceback|Errno|\bFile ?\"|Error:|\[rank ?\d", re.IGNORECASE)
_TROUBLE = re.compile(r"error|fail|crash|OOM|not work|cannot|can't|报错|错误|失败|异常|无法|怎么办", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """A section's text as an answer. ``whole``: with its subsections."""

    text: str
    support: str
    whole: bool


def samples(scene: Scene) -> Iterator[Sample]:
    for document in scene.documents:
        for section in document.root.walk():
            yield from _of_section(scene, document, section)
            yield from _of_list(scene, document, section)
        yield from _whole_page(scene, document)


def answer_of(scene: Scene, document: Document, section: Section) -> Answer | None:
    """The section as an answer, or None where it is empty, too long, or cannot stand alone."""
    body = document.page.body
    own_end = section.blocks[-1].end if section.blocks else section.start
    for end in dict.fromkeys((section.end, own_end)):
        support = body[section.start : end].strip("\n")
        if estimate(support) > MAX_TOKENS * 2:  # even with all its links and pictures gone
            continue
        text = _led(scene, section, clean(support))
        if not _says_something(text, scene.lang) or estimate(text) > MAX_TOKENS:
            continue
        if not answer_needs_page(text):
            return Answer(text, support, end == section.end)
    return None


def asked_of(scene: Scene, document: Document, section: Section) -> Asked | None:
    """The questions its heading gives."""
    codes = [block for block in section.all_blocks() if block.kind == "code"]
    heading = Heading(
        text=scene.corpus.sentence_case(section.heading),
        context=scene.above(document, section),
        has_commands=any(_is_commands(block.info, block.text) for block in codes),
        has_code=bool(codes),
        seed=f"{document.page.url}#{section.start}",
        parent=scene.parent(document, section),
    )
    return scene.language.heading(heading)


def _of_section(scene: Scene, document: Document, section: Section) -> Iterator[Sample]:
    answer = answer_of(scene, document, section) if section.level or section.blocks else None
    if answer is None or _is_option_list(scene, document, section):
        return
    if section.level == 0:
        if not answer.whole and document.subject:
            asked = scene.language.ask("overview", document.page.url, c=document.subject)
            yield from _samples(scene, document, section, "single", asked, answer, 1)
        return
    questions = asked_of(scene, document, section)
    if questions is None:
        return
    shape = _shape(section, questions, answer)
    yield from _samples(scene, document, section, shape, list(questions.questions), answer, scene.rewrites)


def _shape(section: Section, asked: Asked, answer: Answer) -> Shape:
    if _TROUBLE.search(section.heading):
        return "troubleshooting"
    if asked.how_to:
        return "how-to"
    return "broad" if estimate(answer.text) >= 160 else "single"


def _samples(
    scene: Scene, document: Document, section: Section, shape: Shape, asked: list[str], answer: Answer, count: int
) -> Iterator[Sample]:
    family = family_of(scene, document, section)
    for question in scene.unused(asked, count):
        yield scene.sample(shape, [(question, answer.text)], [document], family, answer.support)


def family_of(scene: Scene, document: Document, section: Section) -> str:
    """Sections of one name are one family ("Environment setup" is asked alike everywhere), unless the name is empty."""
    name = scene.name(section.heading)
    return f"section:{name.lower()}" if name else f"section:{document.page.url}#{section.heading.lower()}"


def _is_commands(info: str, text: str) -> bool:
    return info.split(" ")[0].lower() in _COMMANDS or text.lstrip("`~\n ").startswith(("pip ", "$ ", "docker ", "git "))


def _led(scene: Scene, section: Section, text: str) -> str:
    """``text`` behind a line that says what it is, where it would begin with code, a list or a table."""
    if not text.strip():
        return ""
    colon = "：" if scene.lang == "zh" else ":"
    first = text.lstrip()
    if first.startswith(("```", "~~~")):
        info = first[3:].split("\n")[0].strip()
        if _TRACE.search(first[:600]):
            return f"{section.heading}{colon}\n\n{text}"
        kind = "lead-commands" if _is_commands(info, first.partition("\n")[2]) else "lead-code"
        return f"{scene.language.forms[kind][0]}\n\n{text}"
    if re.match(r"(?:[-*+] |\d+[.)] |\|)", first):
        name = scene.name(section.heading)
        return f"{name[0].upper()}{name[1:]}{colon}\n\n{text}" if name else text
    return text


def _says_something(text: str, lang: str) -> bool:
    """More than a link, an author's name or a headline."""
    words = re.sub(r"(?m)^#+ .*$|https?://[^\s)]+|\*\*[^*]{2,60}\*\*[:：]?\s*$", " ", text)
    count = len(re.findall(r"[\u4e00-\u9fff]|[A-Za-z]{2,}", words))
    enough = 24 if lang == "zh" else 16
    return count >= (enough // 4 if "```" in text else enough)


def _is_option_list(scene: Scene, document: Document, section: Section) -> bool:
    """Mostly definitions: they are asked about one by one, and as a list."""
    inside = _listed(scene, document, section)
    return len(inside) >= 12


def _listed(scene: Scene, document: Document, section: Section) -> list[Definition]:
    found = scene.definitions[document.page.url]  # in the page's order
    first, last = (bisect_left(found, place, key=lambda one: one.start) for place in (section.start, section.end))
    return [one for one in found[first:last] if one.name]


def _of_list(scene: Scene, document: Document, section: Section) -> Iterator[Sample]:
    """All options of a section, each with its first sentence."""
    listed = [one for one in _listed(scene, document, section) if one.section is section]
    heading, place = scene.name(section.heading), scene.above(document, section)
    if not (LIST_FROM <= len(listed) <= LIST_TO and heading and section.level) or heading == place:
        return
    noun = scene.language.noun(section.heading, listed[0].term)
    lines = [f"- {shown(one)}{'：' if scene.lang == 'zh' else ': '}{sentences(one.text)[0]}" for one in listed]
    lead = f"{heading[0].upper()}{heading[1:]}{'：' if scene.lang == 'zh' else ':'}"
    text = "\n".join([lead, "", *lines])
    if not noun or answer_needs_page(text) or any(line.rstrip().endswith((":", "：")) for line in lines):
        return
    support = document.page.body[listed[0].start : listed[-1].end]
    for question in scene.unused(scene.language.ask("list", document.page.url, True, k=noun, h=heading, c=place)):
        yield scene.sample("broad", [(question, text)], [document], family_of(scene, document, section), support)


def _whole_page(scene: Scene, document: Document) -> Iterator[Sample]:
    text = clean(document.page.body)
    if not document.subject or not _says_something(text, scene.lang) or answer_needs_page(text, whole_page=True):
        return
    asked = scene.language.ask("whole-page", document.page.url, c=document.subject)
    for question in scene.unused(asked):
        yield scene.sample(
            "whole-page", [(question, text)], [document], f"page:{document.page.url}", document.page.body
        )
