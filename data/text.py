"""Bytes -> text, for files of unknown encoding; what makes two texts the same; about how many tokens one takes.

Decoding never fails: bytes that fit no encoding become U+FFFD.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_NO_LETTER = re.compile(r"[\W_]+")
_SAMPLE = 64 * 1024
_WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


def decode(data: bytes) -> str:
    """The text of ``data``, newlines as ``\\n`` and without control characters."""
    return tidy(data.decode(encoding_of(data), errors="replace"))


def tidy(text: str) -> str:
    """Newlines as ``\\n``; no NULs and other control characters, which break terminals and databases."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]", "", text)


def folded(text: str) -> str:
    """Letters and digits only, in lower case: texts that differ in case, space and marks are the same.

    Which corrections are evaluation questions hangs on it (data/corrections.py): another form would move questions
    that were trained on into the tests.
    """
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", text).lower())


def estimate_tokens(text: str) -> int:
    """About how many tokens: 0.7 a Chinese character and one per 3.3 others, rather too many for Qwen's tokenizer."""
    wide = len(_WIDE.findall(text))
    return round(wide * 0.7 + (len(text) - wide) / 3.3)


def encoding_of(data: bytes) -> str:
    """Byte order mark, valid UTF-8, what the HTML says, mostly valid UTF-8, then what the bytes look like."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return name
    if decodes(data, "utf-8"):
        return "utf-8"
    declared = _CHARSET.search(data[:4096])
    if declared and decodes(data, declared[1].decode("ascii")):
        return declared[1].decode("ascii")
    return _chinese(data) or ("utf-8" if _mostly_utf8(data) else _guess(data))


def decodes(data: bytes, encoding: str) -> bool:
    """Whether every byte of ``data`` has a meaning in ``encoding``."""
    try:
        data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def _chinese(data: bytes) -> str:
    """GB18030 or Big5 where that gives everyday Chinese, else nothing.

    Other encodings read as Chinese give rare characters, private use and lone accents: nearly every foreign character
    has to be one of the most used (GB2312 level 1: 3,755 characters; Big5 level 1: 5,401) or punctuation.
    """
    for encoding, narrow, most_used in (("gb18030", "gb2312", (0xA1, 0xD7)), ("big5", "big5", (0xA1, 0xC6))):
        if decodes(data, encoding):
            foreign = [char for char in data[:_SAMPLE].decode(encoding, errors="ignore") if not char.isascii()]
            if sum(_is_used(char, narrow, most_used) for char in foreign) >= 0.9 * len(foreign) > 0:
                return encoding
    return ""


def _is_used(char: str, encoding: str, lead_bytes: tuple[int, int]) -> bool:
    try:
        lead = char.encode(encoding)[0]
    except UnicodeEncodeError:
        return unicodedata.category(char)[0] in "PSZ"
    return lead_bytes[0] <= lead <= lead_bytes[1]


def _mostly_utf8(data: bytes) -> bool:
    """UTF-8 with damage. Text in another encoding hardly ever holds a valid multi-byte sequence by chance."""
    text = data[:_SAMPLE].decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    return sum(not char.isascii() for char in text) - bad >= bad


def _guess(data: bytes) -> str:
    """Windows Latin-1 for mostly English letters; charset-normalizer for scripts of their own (Cyrillic, Japanese)."""
    sample = data[:_SAMPLE]
    if sum(byte > 127 for byte in sample) * 4 < len(sample):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best and decodes(data, best.encoding) else "cp1252"
