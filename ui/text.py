"""Text from models and documents, made harmless before it is shown anywhere. Pure.

Control characters could drive a terminal, bidirectional overrides could make a link or a command read as another one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]")


def clean(text: str) -> str:
    """``text`` without control characters (line feed and tab stay) and without direction overrides."""
    return _HOSTILE.sub("", text)


def escape_controls(json_text: str) -> str:
    r"""JSON with the same characters written as ``\uXXXX``: harmless in a terminal, and nothing is lost."""
    return _HOSTILE.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def one_line(text: str) -> str:
    """``text`` cleaned, its white space runs as single spaces."""
    return " ".join(clean(text).split())


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters, an ellipsis where something was left out."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def seconds(ms: float) -> str:
    """A duration as people read it: ``12 ms``, ``0.9 s``, ``14 s``."""
    if ms < 100:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"


def pieces(text: str, marks: Sequence[tuple[int, int]]) -> list[tuple[str, bool]]:
    """``text`` cut at ``marks`` (character offsets), cleaned: (piece, is marked). Impossible marks are ignored."""
    found: list[tuple[str, bool]] = []
    at = 0
    for start, end in sorted(marks):
        if at <= start < end <= len(text):
            found += [(text[at:start], False), (text[start:end], True)]
            at = end
    found.append((text[at:], False))
    return [(cleaned, marked) for piece, marked in found if (cleaned := clean(piece))]
