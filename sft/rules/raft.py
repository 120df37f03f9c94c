"""RAFT: the question with the passage that answers it among others that look alike, and an answer that cites it.

Through `data.prompts.rag_messages`, word for word what the gateway asks: this trains the ``sft-rag`` arm. Passages are
cut as the index cuts them (rag.chunk); the distracting ones are BM25's nearest. Zhang et al. 2024, arXiv 2403.10131; as
there, in some samples the good passage is missing, and the answer is the refusal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from data.prompts import rag_messages, refusal_text
from data.types import Page
from rag.chunk import Chunk, chunk_page
from rag.lexical import tokenize
from sft.rules.facts import Definition
from sft.rules.scene import Scene
from sft.rules.single import answer_of, family_of, says_what_it_is
from sft.rules.text import number_of, sentences, shuffled
from sft.standalone import answer_needs_page
from sft.types import Sample

ONE_IN = 4
PASSAGES = 4
WITHOUT_GOLD = 6
"""Every sixth sample lacks the passage that answers."""

CHUNK_TOKENS = 220
CHUNKS_A_PAGE = 60
"""A page of 300 kB is a table: it would be most of what distracts."""


@dataclass(frozen=True)
class Candidate:
    """A chunk with its page: what `rag_messages` needs."""

    page: Page
    chunk: Chunk

    @property
    def title(self) -> str:
        return self.page.title

    @property
    def heading_path(self) -> tuple[str, ...]:
        return self.chunk.heading_path

    @property
    def text(self) -> str:
        return self.chunk.text


class Passages:
    """All chunks of one language, searchable."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.by_page: dict[str, list[Candidate]] = defaultdict(list)

    @cached_property
    def _pool(self) -> list[Candidate]:
        pool = []
        for document in self._scene.documents:
            page = document.page
            found = [Candidate(page, chunk) for chunk in chunk_page(page, CHUNK_TOKENS)]
            self.by_page[page.url] = found
            pool += found if len(found) <= CHUNKS_A_PAGE * 3 else shuffled_in(found, page.url)[:CHUNKS_A_PAGE]
        return pool

    @cached_property
    def _index(self) -> Any:
        import bm25s

        index = bm25s.BM25(k1=1.2, b=0.75)
        index.index([tokenize(one.chunk.searchable) or [""] for one in self._pool], show_progress=False)
        return index

    def holding(self, definition: Definition) -> Candidate | None:
        """The chunk that holds the whole definition, if one does."""
        if not self._pool:
            return None
        chunks = self.by_page[definition.document.page.url]
        end = definition.start + len(definition.document.page.body[definition.start : definition.end].rstrip())
        at = bisect_right(chunks, definition.start, key=lambda one: one.chunk.start) - 1
        return chunks[at] if at >= 0 and end <= chunks[at].chunk.end else None

    def near(self, query: str, avoid: str, count: int) -> list[Candidate]:
        """The nearest chunks that do not hold the word ``avoid``."""
        wanted = min(count * 8, len(self._pool))
        if wanted < 1:
            return []
        places, _ = self._index.retrieve([tokenize(query) or [""]], k=wanted, show_progress=False)
        found = [self._pool[int(place)] for place in places[0]]
        return [one for one in found if avoid.lower() not in one.text.lower()][:count]


def samples(scene: Scene) -> Iterator[Sample]:
    passages = Passages(scene)
    for document in scene.documents:
        for definition in scene.definitions[document.page.url]:
            chosen = number_of("raft", document.page.url, definition.term) % ONE_IN == 0
            gold = passages.holding(definition) if chosen and definition.name and says_what_it_is(definition) else None
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
    distracting = passages.near(f"{asked[0]} {definition.text}", definition.term.strip("-"), PASSAGES)
    if len(distracting) < PASSAGES - 1:
        return
    missing = number_of("gold", seed) % WITHOUT_GOLD == 0
    shown = distracting if missing else shuffled_in([gold, *distracting[: PASSAGES - 1]], seed)
    said = refusal_text(scene.lang) if missing else cited(answer, shown.index(gold) + 1)
    messages = rag_messages(asked[0], shown, lang=scene.lang)
    support = "" if missing else definition.support
    yield scene.sample("raft", [(asked[0], said)], [definition.document], family_of(definition), support, messages)


def shuffled_in(found: list[Candidate], seed: str) -> list[Candidate]:
    """In an order that depends on ``seed`` alone."""
    order = shuffled(range(len(found)), seed)
    return [found[at] for at in order]


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
