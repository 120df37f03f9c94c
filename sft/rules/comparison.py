"""Two things side by side: options of one section with kindred names, and one name on two pages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from sft.rules.facts import Definition
from sft.rules.scene import Scene
from sft.rules.single import answer_of, family_of, says_what_it_is
from sft.rules.text import shuffled
from sft.standalone import answer_needs_page
from sft.types import Sample

PAIRS_A_SECTION = 4
KINDRED = 40
"""Of so many kindred names the first are compared with each other: a list of 20,000 has 200 million pairs."""


def samples(scene: Scene) -> Iterator[Sample]:
    for document in scene.documents:
        sections: dict[int, list[Definition]] = {}
        for definition in scene.definitions[document.page.url]:
            if definition.name and says_what_it_is(definition):
                sections.setdefault(id(definition.section), []).append(definition)
        for listed in sections.values():
            yield from _kindred(scene, listed)
    yield from _namesakes(scene)


def _kindred(scene: Scene, listed: list[Definition]) -> Iterator[Sample]:
    for a, b in shuffled_pairs(list(kindred(listed)))[:PAIRS_A_SECTION]:
        answer = f"- {_indented(answer_of(a, scene.lang))}\n- {_indented(answer_of(b, scene.lang))}"
        if answer_needs_page(answer) or len(answer) > 3000:
            continue
        slots = {"a": f"`{a.term}`", "b": f"`{b.term}`"}
        for question in scene.unused(scene.language.ask("difference", a.term + b.term, False, **slots)):
            support = f"{a.support}\n{b.support}"
            yield scene.sample("comparison", [(question, answer)], [a.document], family_of(a), support)


def shuffled_pairs(pairs: list[tuple[Definition, Definition]]) -> list[tuple[Definition, Definition]]:
    names = {f"{a.term} {b.term} {a.start} {b.start}": (a, b) for a, b in pairs}
    return [names[name] for name in shuffled(list(names), "pairs")]


def kindred(listed: list[Definition]) -> Iterator[tuple[Definition, Definition]]:
    """``vit_lr`` and ``aligner_lr``: all parts of the name but one are the same, of two parts the last."""
    alike: dict[tuple[tuple[str, ...], ...], list[tuple[str, Definition]]] = defaultdict(list)
    for one in listed:
        parts = tuple(re.split(r"[_-]", one.term.strip("-").lower()))
        for at in range(len(parts) if len(parts) > 2 else len(parts) - 1):
            alike[parts[:at], parts[at + 1 :]].append((parts[at], one))
    for found in alike.values():
        for (part, a), (other, b) in combinations(found[:KINDRED], 2):
            if part != other and a.text != b.text:
                yield a, b


def _namesakes(scene: Scene) -> Iterator[Sample]:
    """A name that means something on two pages, each with a subject of its own."""
    done: set[str] = set()
    for listed in scene.definitions.values():
        for a in listed:
            family = family_of(a)
            others = [b for b in scene.namesakes(a) if b.document is not a.document and b.body != a.body]
            if (
                not a.name
                or not says_what_it_is(a)
                or family in done
                or len(others) != 1
                or len(scene.namesakes(a)) != 2
            ):
                continue
            done.add(family)
            yield from _of_pages(scene, a, others[0])


def _of_pages(scene: Scene, a: Definition, b: Definition) -> Iterator[Sample]:
    places = [scene.place(one.document, one.section) for one in (a, b)]
    if not all(places) or places[0] == places[1]:
        return
    colon = "：" if scene.lang == "zh" else ": "
    parts = [
        f"{scene.language.forms['in'][0].format(c=place)}{colon}{_indented(one.body)}"
        for place, one in zip(places, (a, b), strict=True)
    ]
    answer = f"`{a.term}`{colon.strip()}\n\n- {parts[0]}\n- {parts[1]}"
    if answer_needs_page(answer) or len(answer) > 3000:
        return
    slots = {"t": f"`{a.term}`", "a": places[0], "b": places[1]}
    for question in scene.unused(scene.language.ask("difference-pages", a.term, False, **slots)):
        support = f"{a.support}\n{b.support}"
        yield scene.sample("comparison", [(question, answer)], [a.document, b.document], family_of(a), support)


def _indented(text: str) -> str:
    """Text as the content of a list item."""
    return text.replace("\n", "\n  ")
