"""What the rules know of all pages together: how a page is called, which words are names, which terms are ambiguous."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from data.types import Page
from sft.rules.blocks import Section, parse
from sft.rules.text import has_han, prose_of

_GENERIC = """
abstract|advanced|arguments|background|basic|basics|best practices|bestpractices|command line
command line arguments|command line parameters|command-line arguments|command-line parameters
conclusion|configuration|contents|customization|details|doc|docs|documentation|en|example|examples
experiments|faq|frequently asked questions|frequently-asked-questions|general|get started
getstarted|getting started|guide|home|index|instruction|instructions|introduction|misc
more best practices|note|notes|options|other|others|overview|parameter|parameters|quick start
quickstart|readme|reference|references|results|settings|source|src|summary|table of contents|tip
tips|usage|user guide|warning|zh|介绍|使用|使用方法|例子|其他|其它|参数|参数说明|参考|参考资料
命令行参数|实验|实验结果|常见问题|常见问题整理|快速入门|快速开始|总结|指南|提示|摘要|文档|更多
更多最佳实践|样例|概览|概述|注意|注意事项|用法|目录|示例|简介|结果|结论|背景|设置|说明|配置|首页
"""
GENERIC = frozenset(re.split(r"[|\n]", _GENERIC.strip()))
"""Headings and folder names that say nothing about whose they are."""

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)+|[a-z]+[A-Z]\w+|[A-Za-z]\w*")
_WORD = re.compile(r"(?<=[a-z,] )[A-Za-z][a-z]+(?![\w/`-])")
_HEADLINES = re.compile(r"(?m)^\s*(?:#|\||\*\*|[-*+] \*\*).*$")
_MAX_SUBJECT = 48


def is_generic(heading: str) -> bool:
    return heading.strip(" :：.。*").lower() in GENERIC


@dataclass(frozen=True, eq=False)
class Document:
    """A page with its tree. ``subject``: what it is about, in few words, or "". ``titled``: that is its title."""

    page: Page
    root: Section
    subject: str
    titled: bool = False

    @cached_property
    def content_hash(self) -> str:
        """The page's, computed once: a large page gives thousands of samples."""
        return self.page.content_hash

    @cached_property
    def headings(self) -> Counter[str]:
        """Heading -> how often it stands on the page."""
        return Counter(section.heading.lower() for section in self.root.walk())


class Corpus:
    """The pages of one run. ``product``: named in questions where nothing better tells what they are about."""

    def __init__(self, pages: Sequence[Page], product: str = "") -> None:
        self.pages = tuple(pages)
        self.product = product
        self._titles = Counter((page.lang, page.title.strip().lower()) for page in pages)

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        return tuple(Document(page, parse(page), *self._subject(page)) for page in self.pages)

    @cached_property
    def identifiers(self) -> frozenset[str]:
        """Everything that looks like a name anywhere in the corpus, in lower case, dashes as underscores."""
        found: set[str] = set()
        for page in self.pages:
            for text in (page.title, page.body):
                found.update(name.lower().replace("-", "_") for name in _IDENTIFIER.findall(text))
        return frozenset(found)

    @cached_property
    def text(self) -> str:
        """All words of all pages in lower case: to make sure that something stands nowhere."""
        return "\n".join(f"{page.title}\n{page.body}" for page in self.pages).lower()

    @cached_property
    def _cases(self) -> dict[str, tuple[int, int]]:
        """Word in lower case -> how often running text writes it small, how often with a capital inside a sentence."""
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for page in self.pages:
            if page.lang == "en":
                for word in _WORD.findall(_HEADLINES.sub("", prose_of(page.body))):
                    counts[word.lower()][word[0].isupper()] += 1
        return {word: (small, large) for word, (small, large) in counts.items()}

    def product_of(self, page: Page) -> str:
        return page.labels.get("product", "") or self.product

    def _subject(self, page: Page) -> tuple[str, bool]:
        """(title, or folder, or product: the first that is a name and fits no other page; is it the title)."""
        title = page.title.strip()
        short = re.split(r"\s*(?:[:：]|\s[-–—]\s)", title)[0] if len(title) > 24 else title
        unique = self._titles[page.lang, title.lower()] == 1
        if short and not is_generic(short) and unique and len(short) <= _MAX_SUBJECT:
            return self.sentence_case(short), True
        folders = [part for part in page.url.split("://")[-1].split("/")[:-1] if part and not is_generic(part)]
        if folders and re.search(r"[-_ ]|[a-z][A-Z]", folders[-1]) and "." not in folders[-1]:
            return folders[-1].replace("_", " "), False
        return self.product_of(page), False

    def sentence_case(self, phrase: str) -> str:
        """ "Environment Setup" -> "environment setup", "Docker Image" -> "Docker image": names keep their capital."""
        if has_han(phrase):
            return phrase
        return re.sub(r"(?<![\w./`-])[A-Z][a-z]+(?![\w./`-])", lambda m: self._decapitalised(m[0]), phrase)

    def _decapitalised(self, word: str) -> str:
        small, large = self._cases.get(word.lower(), (0, 0))
        return word.lower() if small * 2 >= large else word
