"""Text of others on a page: what cannot be seen is shown, what is too long is cut. Escaping is the page's. Pure."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"  # of Persian words and of emoji
_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def visible(text: str, most: int = 1500) -> str:
    """At most ``most`` characters; controls and marks that turn the direction of writing as ``‹U+202E›``."""
    kept = text[:most].replace("\r\n", "\n")
    shown = "".join(_shown(char) for char in kept)
    return f"{shown} … (+{len(text) - most:,})" if len(text) > most else shown


def line(text: str, most: int = 60) -> str:
    """The same on one line, for names."""
    return visible(re.sub(r"\s+", " ", text[: 4 * most]).strip(), most)


def _shown(char: str) -> str:
    if char in "\n\t" or char in _JOINERS or unicodedata.category(char) not in _UNSEEN:
        return char
    return f"‹U+{ord(char):04X}›"
