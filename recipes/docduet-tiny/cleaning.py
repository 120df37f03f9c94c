"""Which pages are worth reading: boilerplate out, indexes and symbol tables out, duplicates out, questions marked."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from documents import Page

from data.text import folded
from sft.duplicates import ALIKE, PERMUTATIONS, triples

MIN_CHARS = {"en": 400, "zh": 150}
MAX_PACKAGE_BYTES = 12_000_000
MAX_UNTRANSLATED = 0.35
"""Part of a Chinese page that may be English; a page with more is left out."""

REPEATS = 4
"""A paragraph is kept so often in the whole corpus; what comes more often is boilerplate."""

_SENTENCE_END = re.compile(r"[.!?:;。！？：；][)\"'”’`*_]*\s*$")
_FENCE = re.compile(r"(?ms)^ *(```|~~~).*?^ *\1 *$")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*(?: \"[^\"]*\")?\)")
_HAN = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[A-Za-z\u3400-\u9fff ]")
_ICON = re.compile(r"(?:Note|Tip|Warning|Caution) Icon|(?:注意|提示|警告|备注|说明)图标|Tips? icon", re.IGNORECASE)
_NAVIGATION = re.compile(
    r"(?m)^\| \[ .*\n\| ---.*\n(?:\| \[ .*\n?)*|^- \*\*(?:前一页|上一页|下一页|起始页|上一层|Prev|Next|Up|Home)\*\*.*$"
)
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)]) ")
_TAIL = re.compile(
    r"(?ms)^#+ \W*(?:跋|中文版|中文手册|译者|翻译|中国 ?linux ?论坛|《?中国linux|版权|"
    r"AUTHORS?|COPYRIGHT|REPORTING BUGS|COLOPHON).*?(?=^#+ |\Z)",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"[?？]\W*$|^(?:\W*\d[\d.]*\W*)?(?:how|why|what|can|is|does|do|where|which) .*|[吗呢]\W*$", re.IGNORECASE
)


def without_boilerplate(pages: Sequence[Page]) -> Iterator[Page]:
    """Pages of one package less the lines (headings excepted) that stand in a tenth of its pages, ten at least."""
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update({line.strip() for line in page.body.split("\n") if 20 < len(line.strip()) < 300})
    often = {
        line
        for line, n in counts.items()
        if n >= max(10, len(pages) / 10) and not line.startswith(("#", "|", "```", "-", "*"))
    }
    for page in pages:
        body = _TAIL.sub("", page.body) if "/man/" in page.path else page.body
        lines = [line for line in body.split("\n") if line.strip() not in often and not _ICON.fullmatch(line.strip())]
        body = "\n".join(lines)
        body = _NAVIGATION.sub("", body)
        if page.lang == "zh":
            body = _translated(body)
        yield replace(page, body=re.sub(r"\n{3,}", "\n\n", body).strip())


def _translated(body: str) -> str:
    """A Chinese body less its English paragraphs; "" where these are more than a few. Lists stay whole."""
    found = blocks(body)
    english = sum(len(block) for block in found if _is_untranslated(block))
    if english > MAX_UNTRANSLATED * len(body):
        return ""
    return "\n\n".join(block for block in found if not _is_untranslated(block) or _ITEM.match(block))


def blocks(body: str) -> list[str]:
    """What stands between empty lines; a code block is one block, its own empty lines included."""
    found: list[str] = []
    fence = ""
    for part in body.split("\n\n"):
        if fence:
            found[-1] += f"\n\n{part}"
        else:
            found.append(part)
        for mark in re.findall(r"(?m)^[ >]*(```|~~~)", part):
            fence = "" if fence == mark else fence or mark
    return found


def _is_untranslated(paragraph: str) -> bool:
    """An English sentence in a Chinese page (code and commands stay)."""
    text = paragraph.strip()
    words = re.findall(r"\b[A-Za-z]{2,}\b", text)
    plain = not text.startswith(("```", "~~~", "|", "$")) and _SENTENCE_END.search(text) is not None
    return plain and len(words) >= 8 and not _HAN.search(text)


def prose_share(body: str, lang: str) -> float:
    """Part of the text outside code blocks that stands in sentences: lines of some length that end like a sentence."""
    text = _LINK.sub(r"\1", _FENCE.sub("", body))
    floor = 12 if lang == "zh" else 40
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    total = sum(map(len, lines))
    prose = sum(
        len(line) for line in lines if len(line) >= floor and not line.startswith("|") and _SENTENCE_END.search(line)
    )
    wrapped = sum(
        len(line)
        for line in lines
        if len(line) >= floor * 2 and not line.startswith("|") and not _SENTENCE_END.search(line)
    )
    return (prose + wrapped / 2) / total if total else 0.0


def is_useful(page: Page) -> bool:
    """Long enough, made of sentences and of words."""
    body = page.body
    if len(body) < MIN_CHARS[page.lang] or prose_share(body, page.lang) < 0.3:
        return False
    sample = _FENCE.sub("", body)[:20_000]
    if len(_LETTER.findall(sample)) < 0.62 * max(len(sample), 1):
        return False
    links = sum(len(found) for found in _LINK.findall(sample))
    if links > 0.5 * len(sample):
        return False
    return page.lang != "zh" or len(_HAN.findall(sample)) >= 0.15 * len(sample)


def is_faq(page: Page) -> bool:
    """Named so, or most of its headings (five at least) are questions."""
    headings = re.findall(r"(?m)^#{1,6} +(.+)$", page.body)
    asked = sum(bool(_QUESTION.search(heading.strip())) for heading in headings)
    if re.search(r"(?i)faq|常见问题|问答", f"{page.path.rsplit('/', 1)[-1]} {page.title}"):
        return asked >= 2
    return asked >= 5 and asked >= 0.6 * len(headings)


def capped(pages: Iterable[Page], limit: int = MAX_PACKAGE_BYTES) -> list[Page]:
    """The pages richest in prose up to ``limit`` bytes, in their old order. FAQs stay."""
    ranked = sorted(pages, key=lambda page: (not page.faq, -prose_share(page.body, page.lang)))
    kept, size = set(), 0
    for page in ranked:
        size += len(page.body.encode())
        if size > limit and not page.faq:
            break
        kept.add(page.path)
    return [page for page in sorted(ranked, key=lambda page: page.path) if page.path in kept]


class Deduplicator:
    """Sifts pages of all packages: exact copies, near copies (MinHash as in sft.duplicates), repeated paragraphs."""

    def __init__(self, alike: float = ALIKE) -> None:
        from datasketch import MinHashLSH

        self._alike = alike
        self._seen: set[bytes] = set()
        self._paragraphs: Counter[int] = Counter()
        self._index: Any = MinHashLSH(num_perm=PERMUTATIONS, params=(8, 8))
        self._sketches: list[Any] = []
        self.dropped: Counter[str] = Counter()

    def sift(self, pages: Iterable[Page]) -> Iterator[Page]:
        """New pages, less the paragraphs that were there ``REPEATS`` times before."""
        from datasketch import LeanMinHash, MinHash

        fresh = [page for page in map(self._fresh, pages) if page is not None]
        hashed = (triples(page.body[:30_000]) for page in fresh)
        for page, sketch in zip(fresh, MinHash.generator(hashed, num_perm=PERMUTATIONS, hashfunc=int), strict=True):
            lean = LeanMinHash(sketch)
            if any(lean.jaccard(self._sketches[place]) >= self._alike for place in self._index.query(lean)):
                self.dropped["near"] += 1
                continue
            self._index.insert(len(self._sketches), lean, check_duplication=False)
            self._sketches.append(lean)
            yield page

    def _fresh(self, page: Page) -> Page | None:
        key = hashlib.blake2b(folded(page.body).encode(), digest_size=12).digest()
        if key in self._seen:
            self.dropped["exact"] += 1
            return None
        self._seen.add(key)
        page = replace(page, body=self._rare(page.body))
        if len(page.body) < MIN_CHARS[page.lang]:
            self.dropped["boilerplate"] += 1
            return None
        return page

    def _rare(self, body: str) -> str:
        kept = []
        for paragraph in blocks(body):
            if len(paragraph) >= 60 and not paragraph.lstrip().startswith(("#", "```")):
                key = hash(folded(paragraph))
                self._paragraphs[key] += 1
                if self._paragraphs[key] > REPEATS:
                    continue
            kept.append(paragraph)
        return "\n\n".join(kept)


def shuffled(pages: list[Page], seed: int) -> list[Page]:
    """The pages in an order that depends on the seed only."""
    pages = sorted(pages, key=lambda page: (page.package, page.path))
    random.Random(seed).shuffle(pages)
    return pages
