"""Single questions: what an option does, its default, its values, which option does X, what a table says of a row."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.sentences import sentences
from sft.rules.facts import Definition, Record, records
from sft.rules.scene import Scene
from sft.standalone import answer_needs_page
from sft.types import Sample

_MAX_REST = 4000
_CLAUSE = re.compile(r"(?:what|how|where|when|which|why|who)\b|.*(?:什么|怎么|如何|是否|的内容)", re.IGNORECASE)
"""A column's heading that is no noun: "the what it holds of X" is no question."""

_ONLY_DEFAULT = re.compile(r"(?:the )?defaults?\b[^,;]*$|默认[^，；]*$", re.IGNORECASE)


def samples(scene: Scene) -> Iterator[Sample]:
    for document in scene.documents:
        for definition in scene.definitions[document.page.url]:
            yield from of_definition(scene, definition)
        for record in records(document):
            yield from _of_record(scene, record)


def answer_of(definition: Definition, lang: str) -> str:
    """The whole definition, as an answer."""
    colon = "：" if lang == "zh" else ": "
    return f"{shown(definition)}{colon}{definition.body}"


def says_what_it_is(definition: Definition) -> bool:
    """More than "Default is None.": that answers one question only."""
    other = [part for part in sentences(definition.text) if not _ONLY_DEFAULT.match(part)]
    return bool(other or definition.rest)


def shown(definition: Definition) -> str:
    return f"`{definition.term}`" if definition.name else f"**{definition.term}**"


def family_of(definition: Definition) -> str:
    """Same-named options are one family, wherever they stand: their questions are alike."""
    return f"term:{definition.term.lstrip('-').lower()}"


def of_definition(scene: Scene, definition: Definition) -> Iterator[Sample]:
    place = scene.context(definition)
    answer = answer_of(definition, scene.lang)
    if place is None or len(definition.rest) > _MAX_REST or answer_needs_page(answer):
        return
    context, needed = place
    for question, said in _questions(scene, definition, context, needed, answer):
        yield scene.sample(
            "single", [(question, said)], [definition.document], family_of(definition), definition.support
        )


def _questions(
    scene: Scene, definition: Definition, context: str, needed: bool, answer: str
) -> Iterator[tuple[str, str]]:
    """(question, answer) pairs about one definition."""
    lang, seed = scene.language, f"{definition.document.page.url}#{definition.start}"
    if not definition.name:
        slots = {"h": definition.term, "c": context}
        for question in scene.unused(lang.ask("define-phrase", seed, True, **slots)):
            yield question, answer
        return
    noun = lang.noun(definition.section.heading, definition.term)
    slots = {"t": f"`{definition.term}`", "k": noun, "c": context}
    if says_what_it_is(definition):
        for question in scene.unused(lang.ask("define-name", seed, needed, **slots), scene.rewrites):
            yield question, answer
    default = definition.default or lang.default(definition.text)
    if default:
        first = lang.ask("answer-default", seed, t=slots["t"], v=as_value(default))[0]
        for question in scene.unused(lang.ask("default", seed, needed, **slots)):
            yield question, f"{first}\n\n{answer}"
    if lang.has_values(definition.text):
        for question in scene.unused(lang.ask("values", seed, needed, **slots)):
            yield question, answer
    yield from _reverse(scene, definition, noun, context, needed, answer)


def _reverse(
    scene: Scene, definition: Definition, noun: str, context: str, needed: bool, answer: str
) -> Iterator[tuple[str, str]]:
    """Which option does this? Not where the question already names it."""
    lang = scene.language
    for bare in lang.reverse(definition.text, noun):
        if re.sub(r"[\W_]", "", definition.term).lower() in re.sub(r"[\W_]", "", bare).lower():
            continue
        asked = lang.ask("reverse-context", definition.term, q=bare, c=context)
        plain = [] if needed or context else [bare[0].upper() + bare[1:]]
        for question in scene.unused(plain + asked):
            yield question, answer


def as_value(default: str) -> str:
    """In backticks, unless it brings quotes of its own or is words."""
    bare = default.strip()
    return bare if bare[:1] in "`'\"[“" or " " in bare or re.search(r"[\u4e00-\u9fff]", bare) else f"`{bare}`"


def _of_record(scene: Scene, record: Record) -> Iterator[Sample]:
    place = scene.place(record.document, record.section)
    if not place or not _is_key(record.key) or any(_CLAUSE.match(name) for name, _ in record.fields):
        return
    seed = f"{record.document.page.url}#{record.start}"
    head = record.header if scene.lang == "zh" else scene.corpus.sentence_case(record.header)
    if len(record.fields) == 1:
        name, value = record.fields[0]
        asked = scene.language.ask("field", seed, True, h=record.key, f=_lower(scene, name), c=place)
        answer = scene.language.ask("answer-field", seed, h=record.key, f=_lower(scene, name), v=value)[0]
    else:
        asked = scene.language.ask("record", seed, True, h=record.key, f=head, c=place)
        colon = "：" if scene.lang == "zh" else ":"
        fields = "\n".join(f"- {name}{'：' if scene.lang == 'zh' else ': '}{value}" for name, value in record.fields)
        answer = f"{record.header} {record.key}{colon}\n{fields}"
    for question in scene.unused(asked):
        yield scene.sample(
            "single", [(question, answer)], [record.document], f"row:{record.key.lower()}", record.support
        )


def _is_key(key: str) -> bool:
    """A name, not a number: "what does the row 7 hold" is nobody's question."""
    return re.search(r"[A-Za-z\u4e00-\u9fff]{2}", key) is not None and not key.startswith(("http", "{", "["))


def _lower(scene: Scene, name: str) -> str:
    return scene.corpus.sentence_case(name)
