"""RAFT: the question with the passage that answers it among others that look alike, and an answer that cites it.

Through `data.prompts.rag_messages`, word for word what the gateway asks: this trains the ``sft-rag`` arm. Passages are
cut as the index cuts them (rag.chunk); the distracting ones are BM25's nearest. Zhang et al. 2024, arXiv 2403.10131; as
there, in some samples the good passage is missing, and the answer is the refusal.
"""

from __future__ import annotations

from collections.abc import Iterator

from data.prompts import rag_messages, refusal_text
from data.sentences import sentences
from sft.nearest import Candidate, Passages, shuffled_in
from sft.rules.facts import Definition
from sft.rules.scene import Scene
from sft.rules.single import answer_of, family_of, says_what_it_is
from sft.rules.text import number_of
from sft.standalone import answer_needs_page
from sft.types import Sample

ONE_IN = 4
PASSAGES = 4
WITHOUT_GOLD = 6
"""Every sixth sample lacks the passage that answers."""


def samples(scene: Scene) -> Iterator[Sample]:
    passages = Passages([document.page for document in scene.documents])
    for document in scene.documents:
        for definition in scene.definitions[document.page.url]:
            chosen = number_of("raft", document.page.url, definition.term) % ONE_IN == 0
            gold = (
                _holding(passages, definition) if chosen and definition.name and says_what_it_is(definition) else None
            )
            if gold is not None:
                yield from _of_definition(scene, definition, gold, passages)


def _of_definition(scene: Scene, definition: Definition, gold: Candidate, passages: Passages) -> Iterator[Sample]:
    place = scene.context(definition)
    answer = answer_of(definition, scene.lang)
    if place is None or answer_needs_page(answer):
        return
    seed = f"raft {definition.document.page.url}#{definition.start}"
    noun = scene.language.noun(definition.section.heading, definition.term)
    asked = scene.language.ask("define-name", seed, place[1], t=f"`{definition.term}`", k=noun, c=place[0])
    if not asked:
        return
    term = definition.term.strip("-").lower()
    query = f"{asked[0]} {definition.text}"
    distracting = passages.near(query, PASSAGES, lambda one: term not in one.text.lower())
    if len(distracting) < PASSAGES - 1:
        return
    missing = number_of("gold", seed) % WITHOUT_GOLD == 0
    shown = distracting if missing else shuffled_in([gold, *distracting[: PASSAGES - 1]], seed)
    said = refusal_text(scene.lang) if missing else cited(answer, shown.index(gold) + 1)
    messages = rag_messages(asked[0], shown, lang=scene.lang)
    support = "" if missing else definition.support
    yield scene.sample("raft", [(asked[0], said)], [definition.document], family_of(definition), support, messages)


def _holding(passages: Passages, definition: Definition) -> Candidate | None:
    """The passage that holds the whole definition, if one does."""
    page = definition.document.page
    end = definition.start + len(page.body[definition.start : definition.end].rstrip())
    return passages.holding(page, definition.start, end)


def cited(answer: str, number: int) -> str:
    """``answer`` with the passage's number after each sentence; code blocks are left alone."""
    lines, in_code = [], False
    for line in answer.split("\n"):
        fence = line.lstrip().startswith(("```", "~~~"))
        in_code ^= fence
        if in_code or fence or not line.strip() or line.rstrip().endswith((":", "：")):
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(indent + " ".join(f"{part} [{number}]" for part in sentences(line.strip())))
    return "\n".join(lines)
