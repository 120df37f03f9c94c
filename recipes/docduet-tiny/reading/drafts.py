"""All questions that a slice of pages answers, with where each piece of the answer stands.

Sentences (statements), whole sections, lists, tables and definitions (the rules of `docduet sft build`), headings,
questions of FAQ pages, and two answers in one question. Which passages show them is show.py's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from data.sentences import spans
from reading import statements, statements_zh
from reading.parts import Draft, Piece, Slice
from sft.rules import comparison, multi_turn, passages, sections, single
from sft.rules.blocks import Block, Section, parse
from sft.rules.corpus import Corpus
from sft.rules.language import Heading, language
from sft.rules.paraphrase import paraphrases
from sft.rules.scene import Scene
from sft.rules.text import clean, has_han, plain
from sft.standalone import answer_needs_page, question_needs_page
from sft.types import Sample

LONGEST = {"en": 1400, "zh": 480}
"""Characters of an answer: some 390 tokens of English, 400 of Chinese."""

APART = {"en": 400, "zh": 120}
"""Characters between two answers that one question asks for together."""

_GOES_ON = re.compile(
    r"^(?:This|It|These|They|That|Otherwise|Such|If not|In that case)\b|^(?:这|它|此时|该|其|否则|也就是说|即)"
)
_LOOSE = re.compile(
    r"^(?:However|But|And|Or|So|Thus|Then|Also|Therefore|Hence|For example|For instance|In addition|Moreover|Similarly|"
    r"Likewise|Again|Here|There|This|That|These|Those|It|They|He|She|Such|Otherwise|Note that this|Next|Finally|Instead)\b|"
    r"^(?:但|不过|因此|所以|然后|例如|比如|此外|另外|同样|这|那|它|其|此|该|否则|而且|并且|接着|最后)"
)
_DULL = re.compile(
    r"(?i)\b(?:synopsis|see also|authors?|copyright|reporting bugs|colophon|name in|history in|compatibility)\b|"
    r"跋|著作者|译者|作者|版权|参见|总览|参阅"
)
_SHARES = {"condition": 1.3, "how-to": 1.3, "about": 0.5, "reverse": 0.8, "act": 0.9, "define": 0.8, "yes-no": 0.9}


def drafts(slice_: Slice, rng: random.Random) -> Iterator[Draft]:
    """Everything, page after page; the caller draws."""
    by_url = {page.url: number for number, page in enumerate(slice_.pages)}
    for number, page in enumerate(slice_.pages):
        root = parse(page)
        told = list(_sentences(slice_, number, root, rng))
        yield from told
        yield from _pairs(told, slice_.lang, rng)
        yield from _headings(slice_, number, root, rng)
        if number in slice_.faq:
            yield from _faq(slice_, number, root)
    scene = Scene(Corpus([replace(page, title=unnumbered(page.title)) for page in slice_.pages]), slice_.lang, 1)
    for write in (sections, passages, single, comparison, multi_turn):
        for sample in write.samples(scene):
            yield from _of_sample(slice_, by_url, sample)


def unnumbered(title: str) -> str:
    """ "43.6. Control Structures" -> "Control Structures": nobody asks with the number."""
    return (
        re.sub(r"^(?:(?:Chapter|Appendix|Section|第) ?)?(?:\d+|[A-Z](?=\.\d))(?:\.\d+)*(?:\.|章|节)? +", "", title)
        or title
    )


def _sentences(slice_: Slice, number: int, root: Section, rng: random.Random) -> Iterator[Draft]:
    ask = statements_zh.questions if slice_.lang == "zh" else statements.questions
    for section in root.walk():
        for start, end, said in _said(slice_, number, section):
            bare = plain(said)
            if _LOOSE.match(bare) or answer_needs_page(said):
                continue
            pieces = (Piece(clean(said), number, start, end),)
            asked = list(ask(bare))
            for one in asked if len(asked) < 3 else rng.sample(asked, 2):
                if not question_needs_page(one.question) and rng.random() < _SHARES.get(one.kind, 1.0):
                    yield Draft(f"fact-{one.kind}", one.question, pieces, one.subject, one.follow)
            if rng.random() < (0.04 if asked else 0.12):
                query = salient(bare, slice_.lang, rng)
                if query:
                    yield Draft("fact-keywords", query, pieces)


def _said(slice_: Slice, number: int, section: Section) -> Iterator[tuple[int, int, str]]:
    """(start, end, text) of sentences that can stand alone, each with the one after it that goes on about it."""
    body = slice_.pages[number].body
    shortest, longest = (14, 130) if slice_.lang == "zh" else (38, 330)
    for block in section.blocks:
        places = list(_places(body, block))
        for at, (start, end) in enumerate(places):
            if at + 1 < len(places) and _GOES_ON.match(body[places[at + 1][0] : places[at + 1][1]]):
                end = places[at + 1][1]
            text = " ".join(body[start:end].split()) if slice_.lang == "en" else _joined(body[start:end])
            if shortest <= len(text) <= longest and re.search(r"[.!。！；]['\")”]?$", text) and "](" not in text[:1]:
                yield start, end, text


def _places(body: str, block: Block) -> Iterator[tuple[int, int]]:
    """The sentences of a paragraph or of list items, offsets into the body."""
    if block.kind == "prose":
        ranges = [(block.start, block.end)]
    elif block.kind in ("bullets", "steps"):
        ranges = [
            (item.start + len(m[0]), item.end)
            for item in block.items
            if (m := re.match(r"\s*(?:[-*+]|\d+[.)])\s*", body[item.start : item.end])) and not item.rest
        ]
    else:
        return
    for start, end in ranges:
        flat = body[start:end].replace("\n", " ")
        for first, last in spans(flat):
            yield start + first, start + last


def _joined(text: str) -> str:
    return re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef])\s+(?=[\u3000-\u9fff\uff00-\uffef])", "", " ".join(text.split()))


_COMMON = frozenset(
    """
    the a an and or of to in on for with is are be was were by as at it this that these those from can will may must should
    not if when then else than so you your i my we our they their its which who what how where all any each some more most
    other such only also into out up has have had do does did one two use used using no yes there here but about after
    """.split()
)


def salient(text: str, lang: str, rng: random.Random) -> str:
    """Three to five words of a sentence, as somebody types them into a search box; "" where it has too few."""
    if lang == "zh":
        from rag import segment

        words = [
            w
            for run in re.findall(r"[\u4e00-\u9fff]+|[A-Za-z][\w.-]+", text)
            for w in ([w for w, _ in segment.words(run)] if has_han(run) else [run])
        ]
        words = [word for word in words if len(word) > 1]
    else:
        words = [word for word in re.findall(r"[\w./-]*\w", text) if len(word) > 3 and word.lower() not in _COMMON]
    words = list(dict.fromkeys(words))
    if len(words) < 5:
        return ""
    count = rng.randint(3, 5)
    picked = sorted(rng.sample(range(len(words)), count))
    return " ".join(words[at].lower() if words[at].istitle() else words[at] for at in picked)


_BOTH = {
    "en": ("{a}, and {b}?", "{A}? And {b}?", "{A}? {B}?", "I have two questions: {a}, and {b}?"),
    "zh": ("{a}？另外，{b}？", "{a}，还有{b}？", "两个问题：{a}？{b}？", "{a}？以及{b}？"),
}


def _pairs(told: Sequence[Draft], lang: str, rng: random.Random) -> Iterator[Draft]:
    """Two questions of one page in one, some lines apart: answered from two passages mostly."""
    asked = [one for one in told if one.kind != "fact-keywords"]
    for _ in range(-(-len(asked) // 5) if len(asked) > 3 else 0):
        first, second = rng.sample(asked, 2)
        if abs(first.pieces[0].start - second.pieces[0].start) < APART[lang] or first.pieces == second.pieces:
            continue
        a, b = (_reworded(one.question, lang, rng).rstrip("?？。. ") for one in (first, second))
        if re.search(r"[.。?？] ", f"{a} {b}"):
            continue
        small = [x if re.match(r"I\b|[A-Z]{2}|`", x) else x[:1].lower() + x[1:] for x in (a, b)]
        question = rng.choice(_BOTH[lang]).format(a=small[0], b=small[1], A=a, B=b)
        yield Draft("two", question, (*first.pieces, *second.pieces))


def _reworded(question: str, lang: str, rng: random.Random) -> str:
    found = paraphrases(question, lang, rng, 1) if rng.random() < 0.7 else []
    return found[0] if found else question


def _headings(slice_: Slice, number: int, root: Section, rng: random.Random) -> Iterator[Draft]:
    """What a heading asks for: the section's first paragraph with what it introduces, or its steps."""
    page, lang = slice_.pages[number], language(slice_.lang)
    for section in root.walk():
        if not section.level or not section.blocks:
            continue
        codes = [block for block in section.blocks if block.kind == "code"]
        seed = f"{page.url}#{section.start}"
        title = plain(unnumbered(page.title))
        asked = lang.heading(
            Heading(
                section.heading,
                title if len(title) < 48 else "",
                False,
                bool(codes),
                seed,
                section.path[-1] if section.path else "",
            )
        )
        piece = _opening(slice_, number, section)
        if asked and asked.questions and piece and not answer_needs_page(piece.text):
            question = rng.choice(asked.questions)
            if not question_needs_page(question) and not _DULL.search(question):
                yield Draft("heading-how" if asked.how_to else "heading", question, (piece,), section.heading)


def _opening(slice_: Slice, number: int, section: Section) -> Piece | None:
    """The first paragraph; where it announces a list or code, with that; where it is short, with the next one."""
    body = slice_.pages[number].body
    blocks = [block for block in section.blocks if block.text.strip()]
    if not blocks or blocks[0].kind == "other":
        return None
    upto = 0
    while upto + 1 < len(blocks):
        announced = re.search(r"[:：]\**$", blocks[upto].text) or (
            blocks[upto + 1].kind in ("steps", "code") and upto < 2
        )
        short = blocks[upto].kind == "prose" and blocks[upto].end - blocks[0].start < LONGEST[slice_.lang] // 8
        if not (announced or short) or blocks[upto + 1].kind == "other":
            break
        upto += 1
    start, end = blocks[0].start, blocks[upto].end
    text = clean(body[start:end].strip("\n"))
    if slice_.lang == "en" and blocks[0].kind == "prose" and upto == 0:
        text = " ".join(text.split())
    shortest = 16 if slice_.lang == "zh" else 40
    fits = shortest <= len(text) <= LONGEST[slice_.lang] and not re.search(r"[:：]\s*$", text)
    return Piece(text, number, start, end) if fits else None


def _faq(slice_: Slice, number: int, root: Section) -> Iterator[Draft]:
    """Headings that are questions, with what stands below them, as far as it is short."""
    body = slice_.pages[number].body
    for section in root.walk():
        heading = re.sub(r"^(?:[\dA-Z]+(?:\.\d+)*[.)]?|[QqＱ]\d*[:：.])\s+", "", section.heading).strip()
        if not section.level or not re.search(r"[?？]$", heading) or not section.blocks or question_needs_page(heading):
            continue
        end = section.blocks[0].end
        for block in section.blocks[1:]:
            if block.end - section.blocks[0].start > LONGEST[slice_.lang]:
                break
            end = block.end
        text = clean(body[section.blocks[0].start : end].strip("\n"))
        if (
            20 <= len(text) <= LONGEST[slice_.lang]
            and not answer_needs_page(text)
            and not re.search(r"[:：]\s*$", text)
        ):
            yield Draft("faq", heading, (Piece(text, number, section.blocks[0].start, end),))


def _of_sample(slice_: Slice, by_url: dict[str, int], sample: Sample) -> Iterator[Draft]:
    """What the rules wrote: where the support of the whole stands is known, of each line it is looked up later."""
    if sample.shape in ("unanswerable", "raft", "whole-page") or not sample.support:
        return
    answers, questions = sample.answers, sample.questions
    if any(len(answer) > LONGEST[slice_.lang] for answer in answers):
        return
    number = by_url[sample.pages[0]]
    body = slice_.pages[number].body
    lines = [line for line in sample.support.split("\n") if line.strip()]
    start = body.find(lines[-1]) if sample.shape != "comparison" else 0
    first = body.find(sample.support.strip("\n"))
    start, end = (first, first + len(sample.support)) if first >= 0 else (start, start + len(lines[-1]))
    if sample.shape == "comparison" or start < 0:
        start, end = -1, -1
    for at, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        if at == 0 and sample.shape == "multi-turn":
            continue
        if _DULL.search(question):
            continue
        history = tuple(zip(questions[:at], answers[:at], strict=True))
        whole = len(questions) == 1
        piece = Piece(answer, number, start if whole else -1, end if whole else -1)
        yield Draft(f"rules-{sample.shape}", question, (piece,), history=history)
