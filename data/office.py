"""PDF and Word documents -> Markdown.

PDF: pdfium (the engine of Chromium) gives the text in reading order with its lines as printed, which keeps commands
intact; headings come from the document's outline. Word: mammoth gives HTML with headings, lists and tables.
"""

from __future__ import annotations

import io
import re
from collections import Counter

from data.errors import UnreadableDocument
from data.html import Resolve, fragment_to_markdown
from data.text import tidy

_MIN_CHARS_PER_PAGE = 5
"""A PDF with less text than this is a scan."""


def pdf_to_markdown(data: bytes) -> tuple[str, str]:
    """(title of the metadata or "", Markdown). UnreadableDocument for damaged, locked or scanned files."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise UnreadableDocument("a PDF locked with a password" if locked else "a damaged PDF") from None
    try:
        pages = [_page_lines(document[number]) for number in range(len(document))]
        outline = _outline(document)
        title = str(document.get_metadata_dict().get("Title") or "").strip()
    finally:
        document.close()
    if sum(len(line) for page in pages for line in page) < _MIN_CHARS_PER_PAGE * max(1, len(pages)):
        raise UnreadableDocument("a PDF without text (a scan?); run OCR over it first")
    running = _running_lines(pages)
    blocks = [_write_page(lines, outline.get(number, {}), running) for number, lines in enumerate(pages)]
    return title, "\n\n".join(filter(None, blocks))


def docx_to_markdown(data: bytes, resolve: Resolve = lambda _: "") -> str:
    """Markdown of a Word document; UnreadableDocument for a damaged one."""
    import mammoth

    no_images = mammoth.images.img_element(lambda image: {"src": ""})
    try:
        html = mammoth.convert_to_html(io.BytesIO(data), convert_image=no_images).value
    except Exception as error:  # mammoth has no error type of its own: zip, XML and key errors come through
        raise UnreadableDocument(f"a damaged Word document ({type(error).__name__})") from None
    return fragment_to_markdown(html, resolve)


def _page_lines(page: object) -> list[str]:
    text = page.get_textpage().get_text_bounded()  # type: ignore[attr-defined]
    return [line.rstrip() for line in tidy(text).replace("\ufffe", "-").replace("\x02", "-").split("\n")]


def _outline(document: object) -> dict[int, dict[str, int]]:
    """Page number -> {heading as compared: level from 1}."""
    found: dict[int, dict[str, int]] = {}
    for entry in document.get_toc(max_depth=6):  # type: ignore[attr-defined]
        target = entry.get_dest()
        number = target.get_index() if target else None
        if number is not None:
            found.setdefault(number, {})[_plain(entry.get_title())] = min(entry.level + 1, 6)
    return found


def _plain(line: str) -> str:
    """A heading as compared: without its number, spaces and case."""
    return re.sub(
        r"\s+", "", re.sub(r"^(?:chapter|appendix|第)?\s*[\dA-Z]*[\d.]+\s*(?:章|节)?\s*", "", line, flags=re.I)
    ).casefold()


def _running_lines(pages: list[list[str]]) -> set[str]:
    """Page headers and footers: first and last lines that return, but for the page number, on a third of the pages."""
    edges = Counter(_numberless(line) for page in pages for line in {*_filled(page)[:1], *_filled(page)[-1:]})
    return {line for line, times in edges.items() if times >= max(3, len(pages) // 3)}


def _filled(lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip()]


def _numberless(line: str) -> str:
    return re.sub(r"\d+", "#", line.strip())


def _write_page(lines: list[str], headings: dict[str, int], running: set[str]) -> str:
    filled = _filled(lines)
    edges = {line for line in (*filled[:1], *filled[-1:]) if _numberless(line) in running}
    left = dict(headings)
    written = []
    for line in lines:
        level = left.pop(_plain(line), 0) if line.strip() else 0
        if level:
            written += ["", f"{'#' * level} {line.strip()}", ""]
        elif line not in edges:
            written.append(escape_line(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(written)).strip()


def escape_line(line: str) -> str:
    """A line of plain text that Markdown would take for a heading, a rule or a fence, marked as text."""
    return re.sub(r"^(\s{0,3})(#{1,6}(?:\s|$)|=+\s*$|-+\s*$|`{3}|~{3})", r"\1\\\2", line)
