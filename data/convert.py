"""One file's bytes -> one clean page: title, language, Markdown body. The only door to the converters of each kind.

    markdown  data/markdown.py     html  data/html.py     rst  data/rst.py     pdf, docx  data/office.py

CONVERTER_VERSION is part of what a sync remembers about a file: raise it where a change should convert old files anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from data.detect import Kind, detect
from data.errors import UnreadableDocument
from data.html import html_to_markdown, resolver
from data.lang import detect_lang
from data.markdown import clean_markdown, headings
from data.office import docx_to_markdown, escape_line, pdf_to_markdown
from data.rst import rst_to_markdown
from data.text import decode

CONVERTER_VERSION = 2


@dataclass(frozen=True)
class Converted:
    """What a document says, in Markdown without the title line."""

    title: str
    body: str
    lang: str
    kind: Kind


def convert(data: bytes, path: str, page_url: str = "") -> Converted:
    """Read one document. ``path`` names it, ``page_url`` is what relative links are resolved against.

    Raises UnreadableDocument with the reason when ``data`` is no document or holds no text.
    """
    kind = detect(data, path)
    try:
        given_title, markdown = _to_markdown(kind, data, page_url or path)
    except RecursionError:
        raise UnreadableDocument("nested too deeply") from None
    title, body = _split_title(markdown, given_title, path)
    if not body.strip() and not title.strip():
        raise UnreadableDocument("holds no text")
    if not re.search(r"\w", body):
        raise UnreadableDocument("holds no text besides its title")
    return Converted(title, body, detect_lang(f"{title}\n{body}"), kind)


def _to_markdown(kind: Kind, data: bytes, page_url: str) -> tuple[str, str]:
    """(title from metadata or "", Markdown)."""
    resolve = resolver(page_url)
    if kind == "pdf":
        return pdf_to_markdown(data)
    if kind == "docx":
        return "", docx_to_markdown(data, resolve)
    text = decode(data)
    if kind == "html":
        return html_to_markdown(text, resolve)
    if kind == "rst":
        return "", rst_to_markdown(text, resolve)
    if kind == "markdown":
        return clean_markdown(text, resolve)
    return "", "\n".join(map(escape_line, text.split("\n"))).strip()


def _split_title(markdown: str, given: str, path: str) -> tuple[str, str]:
    """(title, body without its line): the first top heading, else the metadata's title, else the file's name."""
    lines = markdown.split("\n")
    found = list(headings(markdown))
    opening = next((entry for entry in found if entry[3] and not any(line.strip() for line in lines[: entry[1]])), None)
    first_h1 = next((entry for entry in found if entry[3] and entry[0] == 1), None)
    heading = opening or (first_h1 if not given else None)
    if heading is None:
        return given or _name(path), markdown
    _, start, end, title = heading
    return title, "\n".join([*lines[:start], *lines[end:]]).strip()


def _name(path: str) -> str:
    """``guide/getting-started.md`` -> Getting started."""
    words = re.sub(r"[-_]+", " ", PurePosixPath(path).stem).strip()
    return words[:1].upper() + words[1:]
