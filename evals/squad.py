"""Data sets in SQuAD's format as question sets: every paragraph is a page, every question is answered by its own.

The format: https://rajpurkar.github.io/SQuAD-explorer/ ; cmrc2018 (Chinese) uses it too. Questions without an answer
(SQuAD 2) are left out. Paragraphs that say the same count as one page. Such a file is in one language: the questions
get the one that most paragraphs are in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from data.lang import detect_lang
from data.types import Page
from evals.questions import Question, QuestionSet


def load_squad(path: Path) -> QuestionSet:
    """All questions and paragraphs of the file. Raises ConfigError when it is not in SQuAD's format."""
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        pages: dict[str, Page] = {}
        questions = [question for article in articles for question in _article(article, pages)]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"{path} is not in SQuAD's format ({type(error).__name__}: {error})") from None
    if not questions:
        raise ConfigError(f"{path} holds no answerable questions")
    lang = Counter(page.lang for page in pages.values()).most_common(1)[0][0]
    return QuestionSet(
        path.stem, tuple(replace(question, lang=lang) for question in questions), corpus=tuple(pages.values())
    )


def _article(article: Mapping[str, Any], pages: dict[str, Page]) -> Iterator[Question]:
    """The article's questions; its paragraphs go into ``pages``, by their text."""
    for number, paragraph in enumerate(article["paragraphs"], start=1):
        context = paragraph["context"]
        page = pages.get(context)
        if page is None:
            url = str(paragraph.get("id") or f"{article.get('title', 'paragraph')}-{number}-{len(pages)}")
            page = Page(url, str(article.get("title") or ""), context, lang=detect_lang(context))
            pages[context] = page
        for asked in paragraph["qas"]:
            if asked["answers"]:
                span = str(asked["answers"][0]["text"])
                yield Question(str(asked["id"]), asked["question"], page.lang, (page.url,), span, "squad")
