"""What a file is, by its content. The name only chooses between kinds of plain text (Markdown, reStructuredText, text).

Most files are settled by their first bytes; what is left is asked of magika, a small model that ships in its wheel
(3 ms a file, loaded on first need). Everything that is not a document is refused with a reason for the user.
"""

from __future__ import annotations

import io
import re
import zipfile
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from data.errors import UnreadableDocument
from data.text import decode, decodes, encoding_of

if TYPE_CHECKING:
    from magika import Magika

Kind = Literal["markdown", "html", "rst", "text", "pdf", "docx"]

TEXT_SUFFIXES: dict[str, Kind] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".rst": "rst",
    ".txt": "text",
    ".text": "text",
}
_HTML_SUFFIXES = (".html", ".htm", ".xhtml")
_HTML_START = re.compile(
    r"(?:\s|<\?xml[^>]*>|<!--.*?-->)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_TEXT_LABELS: dict[str, Kind] = {"markdown": "markdown", "rst": "rst", "txt": "text", "html": "html"}
_HEAD = 16 * 1024


def detect(data: bytes, path: str = "") -> Kind:
    """The kind of document that ``data`` holds; UnreadableDocument, with the reason, when it is none.

    ``path`` is the file's name; only its suffix counts, and only between kinds of text.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if not data.strip():
        raise UnreadableDocument("the file is empty")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _office(data, suffix)
    if _is_text(data):
        return _text_kind(data, suffix)
    return _by_model(data, suffix)


def _is_text(data: bytes) -> bool:
    """Text beyond doubt: no NULs and valid UTF-8, or a byte order mark."""
    encoding = encoding_of(data[:64]) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return decodes(data, encoding) and (encoding != "utf-8" or b"\0" not in data)


def _text_kind(data: bytes, suffix: str) -> Kind:
    head = decode(data[:_HEAD])
    if _HTML_START.match(head):
        return "html"
    if suffix in TEXT_SUFFIXES and not head.lstrip().startswith(("<?xml", "<svg", "<!DOCTYPE svg")):
        return TEXT_SUFFIXES[suffix]
    if suffix in _HTML_SUFFIXES:
        return "html" if "<" in head else "text"
    return _by_model(data, suffix)


def _office(data: bytes, suffix: str) -> Kind:
    """A Word document is a zip archive that holds word/document.xml."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile:
        raise UnreadableDocument("a damaged zip archive or office document; save it again") from None
    if "word/document.xml" in names:
        return "docx"
    return _by_model(data, suffix)


def _by_model(data: bytes, suffix: str) -> Kind:
    """Ask magika; text in a legacy encoding that it does not know is recognised by its suffix."""
    output = _magika().identify_bytes(data).output
    if output.label in _TEXT_LABELS:
        kind = _TEXT_LABELS[output.label]
        return TEXT_SUFFIXES.get(suffix, kind) if kind != "html" else kind
    documentlike = suffix in TEXT_SUFFIXES or suffix in _HTML_SUFFIXES
    if documentlike and (output.is_text or output.label == "unknown") and _readable(data):
        return TEXT_SUFFIXES.get(suffix, "html")
    named = f" named {suffix}" if documentlike else ""
    what = (
        "binary data of an unknown kind"
        if output.label == "unknown"
        else _with_article(output.description.removesuffix(" data"))
    )
    raise UnreadableDocument(f"{what}{named}: not a kind of document that is read")


def looks_like_document(path: str) -> bool:
    """Whether a file's name promises a document: such a file that gave no page is worth a second look."""
    return PurePosixPath(path).suffix.lower() in (*TEXT_SUFFIXES, *_HTML_SUFFIXES, ".pdf", ".docx")


def _readable(data: bytes) -> bool:
    """Hardly any control characters or replacement characters once decoded."""
    raw = data[:_HEAD].decode(encoding_of(data), errors="replace")
    strange = sum(char == "\ufffd" or (ord(char) < 32 and char not in "\t\n\r\f\x1b") for char in raw)
    return strange * 20 < len(raw)


def _with_article(what: str) -> str:
    first = what[:1].lower()
    vowel_sound = first in "aeio" or (what[:3].isupper() and first in "fhlmnrsx")
    return f"{'an' if vowel_sound else 'a'} {what}"


@cache
def _magika() -> Magika:
    from magika import Magika

    return Magika()
