"""What every shape needs while it writes: the corpus, what was asked already, and how a fact's home is called."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from data.prompts import Message, sft_messages
from sft.rules.blocks import Section
from sft.rules.corpus import Corpus, Document, is_generic
from sft.rules.facts import Definition, definitions
from sft.rules.language import Language, first_unused, language
from sft.types import Sample, Shape

GENERATOR = "rules"
_MAX_CONTEXT = 44
_WEAK = frozenset({"训练", "推理", "部署", "微调", "评测", "导出", "量化", "模型", "数据集", "training", "inference"})
"""Headings that name a topic, but not one that tells two pages apart."""


class Scene:
    """The pages of one language. ``rewrites``: how many questions a definition gets."""

    def __init__(self, corpus: Corpus, lang: str, rewrites: int = 2) -> None:
        self.corpus = corpus
        self.lang = lang
        self.rewrites = rewrites
        self.language: Language = language(lang)
        self.documents = tuple(doc for doc in corpus.documents if doc.page.lang == lang)
        self._used: set[str] = set()

    @cached_property
    def definitions(self) -> dict[str, list[Definition]]:
        """Page url -> its definitions."""
        return {document.page.url: list(definitions(document)) for document in self.documents}

    @cached_property
    def _homonyms(self) -> dict[str, list[Definition]]:
        found: dict[str, list[Definition]] = defaultdict(list)
        for listed in self.definitions.values():
            for definition in listed:
                found[definition.term.lstrip("-").lower()].append(definition)
        return found

    def namesakes(self, definition: Definition) -> list[Definition]:
        """All definitions of a term of this name, the given one included."""
        return self._homonyms[definition.term.lstrip("-").lower()]

    def context(self, definition: Definition) -> tuple[str, bool] | None:
        """(what to call its home, whether the question is ambiguous without); None where nothing tells it apart."""
        own = self.place(definition.document, definition.section)
        others = [
            other for other in self.namesakes(definition) if other is not definition and other.body != definition.body
        ]
        word = re.fullmatch(r"[a-z]+|[A-Z][a-z]+", definition.term) is not None
        if not others:
            return own, word
        if own and all(self.place(other.document, other.section) != own for other in others):
            return own, True
        finer = self.fine_place(definition.document, definition.section)
        if finer and all(self.fine_place(other.document, other.section) != finer for other in others):
            return finer, True
        return None

    def place(self, document: Document, section: Section) -> str:
        """The page's subject, or the nearest heading that is a name."""
        return document.subject or self.above(document, section)

    def fine_place(self, document: Document, section: Section) -> str:
        """The section within its page."""
        subject, heading = document.subject, self.name(section.heading)
        if not heading or section.level == 0:
            return subject
        return self._inside(subject, heading)

    def parent(self, document: Document, section: Section) -> str:
        """The nearest heading above that is a name, told with its page where it stands for little by itself."""
        name = next(filter(None, map(self.name, reversed(section.path))), "")
        if not name:
            return ""
        weak = name.lower() in _WEAK or document.headings[name.lower()] > 1
        return self._inside(document.subject, name) if weak else name

    def _inside(self, subject: str, heading: str) -> str:
        if not subject or subject.lower() in heading.lower():
            return heading
        return f"{subject}的{heading}" if self.lang == "zh" else f"{subject} ({heading})"

    def above(self, document: Document, section: Section) -> str:
        """What a section's heading belongs to: the page where its title is a name, else the nearest heading above."""
        names = [name for name in map(self.name, reversed(section.path)) if name and name.lower() not in _WEAK]
        twice = document.headings[section.heading.lower()] > 1
        if document.titled and not (twice and names):
            return document.subject
        if document.subject and names:
            return self._inside(document.subject, names[0])
        return names[0] if names else document.subject

    def name(self, heading: str) -> str:
        """A heading as it may stand inside a question; "" when it says nothing or is a sentence."""
        text = re.sub(r"^[\dQq]+(?:\.\d+)*[.:：、)]?\s+|^[一二三四五六七八九十]+、", "", heading).strip(" :：")
        fits = text and not is_generic(text) and len(text) <= _MAX_CONTEXT and not re.search(r"[?？!！。,，;；]", text)
        return self.corpus.sentence_case(text) if fits else ""

    def unused(self, questions: Sequence[str], count: int = 1) -> list[str]:
        return first_unused(questions, self._used, count)

    def sample(
        self,
        shape: Shape,
        turns: Sequence[tuple[str, str]],
        documents: Iterable[Document],
        family: str,
        support: str,
        messages: Sequence[Message] = (),
    ) -> Sample:
        """A sample of (question, answer) turns; ``messages`` take the place of the prompt where a shape has its own."""
        documents = list(dict.fromkeys(documents))
        history: list[Message] = []
        for question, answer in turns:
            history += [Message(role="user", content=question), Message(role="assistant", content=answer)]
        asked = list(messages) or sft_messages(turns[0][0], (), self.lang)
        return Sample(
            messages=(*asked, *history[1:]),
            shape=shape,
            lang=self.lang,
            pages=tuple(document.page.url for document in documents),
            page_hashes=tuple(document.content_hash for document in documents),
            generator=GENERATOR,
            family=family,
            support=support,
        )
