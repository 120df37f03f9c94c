"""Paragraphs that say what they answer: "To X, ...", "If X fails, ...", "The difference between X and Y is ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.sentences import sentences
from sft.rules.facts import Passage, passages
from sft.rules.scene import Scene
from sft.standalone import answer_needs_page
from sft.types import Sample, Shape

_ERROR = re.compile(r"`([^`\n]*\b\w*(?:Error|Exception|error:|out of memory)\b[^`\n]*)`")
_MIN_CHARS = {"en": 60, "zh": 24}
_OPENING = re.compile(
    r"^(?:However|Therefore|Then|Next|Finally|Also|And|But|So|Thus|Otherwise|In addition|"
    r"Additionally|Moreover|此外|另外|因此|然后|接着|最后|同时|但是?|而且|所以|否则|其中)\b[,，]?\s*"
)


def samples(scene: Scene) -> Iterator[Sample]:
    for document in scene.documents:
        for passage in passages(document):
            yield from _of_passage(scene, passage)


def _of_passage(scene: Scene, passage: Passage) -> Iterator[Sample]:
    if len(passage.text) < _MIN_CHARS.get(scene.lang, 60):
        return
    context = scene.place(passage.document, passage.section)
    answered = _answer(passage)
    if not answered:
        return
    kind, shape, slots, answer = _asked(scene, passage, answered)
    if not kind or answer_needs_page(answer):
        return
    seed = f"{passage.document.page.url}#{passage.start}"
    # Without the page's subject a symptom or a goal is often ambiguous; a whole error message never is.
    need = bool(context) and kind not in ("trouble-error", "difference")
    for question in scene.unused(scene.language.ask(kind, seed, need, c=context, **slots)):
        family = f"passage:{passage.document.page.url}#{passage.section.heading.lower()}"
        yield scene.sample(shape, [(question, answer)], [passage.document], family, passage.support)


def _answer(passage: Passage) -> str:
    """The passage without a word that ties it to the one before."""
    text = _OPENING.sub("", passage.text)
    return text[:1].upper() + text[1:] if text != passage.text else text


def _asked(scene: Scene, passage: Passage, answer: str) -> tuple[str, Shape, dict[str, str], str]:
    """(kind of question, shape, slots, answer); kind "" where the passage answers nothing by itself."""
    lang = scene.language
    said = re.sub(r"^[A-Za-z]+: |^\*\*[^*]+\*\*[:：]?\s*", "", _OPENING.sub("", passage.said))
    lines = sentences(said)
    if not lines:
        return "", "single", {}, ""
    differing = lang.difference(lines[0])
    if differing:
        return "difference", "comparison", {"a": differing[0], "b": differing[1]}, answer
    error = _ERROR.search(passage.said)
    if error and 12 <= len(error[1]) <= 160 and len(answer) > len(error[1]) + 80:
        return "trouble-error", "troubleshooting", {"symptom": f"`{error[1]}`"}, answer
    symptom = lang.symptom(lines[0])
    if symptom:
        return "trouble", "troubleshooting", {"symptom": symptom}, answer
    goal = lang.goal(lines[0])
    return ("how-to", "how-to", {"goal": goal}, answer) if goal else ("", "single", {}, "")
