"""A question in one language over docs in the other: what is searched is the engine's translation.

Gated: only where the docs hold pages in the other language, and hardly any in the question's own or none that answer.
What was searched is always shown; the answer stays in the question's language. Between Chinese and English.
"""

from __future__ import annotations

from collections.abc import Mapping

from data.lang import detect_lang
from data.prompts import translate_messages
from rag.lexical import terms
from serving.arms.rewrite import MAX_CHARS, one_line
from serving.engines.engine import Engine

LANGS = ("en", "zh")
HARDLY_ANY = 0.05
"""Share of the pages below which docs count as written in the other language."""


def language_to_search(lang: str, only: str, pages: Mapping[str, int], answerable: bool) -> str:
    """The language to translate a question of language ``lang`` into, "" for none.

    ``only``: the language that the search is limited to, "" for none. ``pages``: language -> pages of the docs.
    ``answerable``: whether the search in the question's own words found an answer.
    """
    others = {other: pages[other] for other in LANGS if pages.get(other) and other != lang and only in ("", other)}
    if lang not in LANGS or not others:
        return ""
    own = 0 if only else pages.get(lang, 0)
    scarce = own < HARDLY_ANY * sum(pages.values())
    return max(others, key=lambda other: others[other]) if scarce or not answerable else ""


async def translation(question: str, engine: Engine, lang: str) -> str:
    """The question in ``lang``, or "" where the engine failed or its translation is not to be trusted."""
    return checked(await one_line(engine, translate_messages(question, lang)), question, lang)


def checked(written: str, question: str, lang: str) -> str:
    """A translation is used only if it is one short line in that language that keeps all codes and options."""
    line = written.strip().strip('"“”').strip()
    kept = {term.token for term in terms(line)}
    codes = {term.token for term in terms(question) if term.kind == "identifier"}
    if not line or "\n" in line or len(line) > MAX_CHARS or detect_lang(line) != lang or codes - kept:
        return ""
    return line
