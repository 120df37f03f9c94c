"""Citation markers in streamed answers: found in any form, checked, renumbered.

A model writes ``[1]``, ``[1, 3]``, ``[1-3]``, ``[[2]]``, ``[^1]``, ``[Passage 1]``, ``【1】``, ``【1†source】`` or
``［1］``, often split over several deltas. What
leaves here is plain ``[n]``, numbered 1..k in the order in which sources are first cited. A number with no passage
behind it is dropped, and code (fenced or inline) is left alone. No link is ever built from a marker:
``[1](http://...)`` and ``[1]: http://...`` come out with a space after the bracket, so that no client takes them for
Markdown links.

Pure: no I/O. What a source is belongs to serving/arms/sources.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# A complete marker. Three digits at most: [2048] is more likely a shape than a source. [0-9] is a pattern.
_WORDS = ("passage", "passages", "source", "sources", "段落", "来源")
_NUMBERS = r"(?!0\s?[-–—])\d{1,3}(?:\s{0,3}[,，、;；&\-–—]\s{0,3}\d{1,3}){0,24}"
_INSIDE = rf"\s{{0,2}}(?:(?:{'|'.join(_WORDS)})\s{{0,2}}|\^)?({_NUMBERS})(?:†[\w\-:., ]{{0,30}})?\s{{0,2}}"
_MARKER = re.compile(rf"\[\[{_INSIDE}\]\]|\[{_INSIDE}\]|【{_INSIDE}】|［{_INSIDE}］", re.IGNORECASE)
# The beginning of one at the end of a delta: held back until it is decided.
_PARTIAL = re.compile(
    r"(?:\[{1,2}|【|［)\s{0,2}(?:\^|([^\W\d_]{1,8})\s{0,2})?([\d\s,，、;；&\-–—]{0,260}(?:†[\w\-:., ]{0,32})?\]?)$"
)
_OPEN_END = re.compile(r"[\[【［]\d{0,3}$")
_PLAIN = re.compile(r"[^\[【［`~\n ]+")
_MAX_RANGE = 10
_MAX_INLINE = 200  # characters of inline code; a backtick with no other so far away stands for itself
_MAX_INFO = 80  # characters of what stands behind the backticks that open a code block


@dataclass(frozen=True)
class Cite:
    """A marker that leaves the gateway: ``[number]``, standing for passage ``index`` (from 0) of the prompt."""

    number: int
    index: int

    @property
    def marker(self) -> str:
        return f"[{self.number}]"


Piece = str | Cite


@dataclass
class CitationStream:
    """Feed deltas, get pieces of text and citations. ``passages``: how many numbered passages the prompt held."""

    passages: int
    order: list[int] = field(default_factory=list)  # passage indexes in order of first citation
    _held: str = ""
    _fence: str = ""  # the run that opened the code block we are in
    _line_start: bool = True
    _after_marker: bool = False
    _touching: bool = False  # nothing stands between the last marker and what comes
    _last_cited: int | None = None
    _tail: str = ""  # the last characters that left as text

    def feed(self, text: str) -> list[Piece]:
        """The pieces that are certain after this delta."""
        return self._scan(self._held + text, final=False)

    def close(self) -> list[Piece]:
        """Whatever was held back: the stream is over."""
        return self._scan(self._held, final=True)

    def _scan(self, text: str, final: bool) -> list[Piece]:
        self._held = ""
        out: list[Piece] = []
        pos = 0
        while pos < len(text):
            step = self._step(text, pos, final, out)
            if step == 0:
                self._held = text[pos:]
                break
            pos += step
        return _merge(out)

    def _step(self, text: str, pos: int, final: bool, out: list[Piece]) -> int:
        """Handle what stands at ``pos``; returns the characters used, 0 when more input is needed."""
        char = text[pos]
        if char in "`~":
            return self._code_run(text, pos, final, out)
        if char == "\n":
            self._line_start = True
            return self._text("\n", out)
        if char == " ":
            return self._spaces(text, pos, final, out)
        if char in "[【［" and not self._fence:
            return self._bracket(text, pos, final, out, lead="")
        plain = _PLAIN.match(text, pos)
        run = plain.group() if plain else char
        self._line_start = self._line_start and not run.strip("->*+0123456789.")
        return self._text(run, out)

    def _code_run(self, text: str, pos: int, final: bool, out: list[Piece]) -> int:
        """A run of backticks or tildes opens or closes code; at the end of a delta it may still grow."""
        end = pos
        while end < len(text) and text[end] == text[pos]:
            end += 1
        if end == len(text) and not final:
            return 0
        run, rest = text[pos:end], text[end:]
        used: int | None = end - pos
        if self._fence:
            used = self._fence_closed(run, rest, final)
        elif self._line_start and len(run) >= 3 and (opens := _opens_block(run, rest, final)) is not False:
            self._fence, used = (run, used) if opens else ("", None)
        elif run[0] == "`":
            used = _code_span(run, rest, final)
        if used is None:
            return 0
        self._line_start = False
        return self._text(text[pos : pos + used], out)

    def _fence_closed(self, run: str, rest: str, final: bool) -> int | None:
        """The length of a run in a code block, closing it where nothing follows on the line; None: not known yet."""
        if not self._line_start or not run.startswith(self._fence):
            return len(run)
        after = rest.lstrip(" \r")
        if not after and not final:
            return None
        if not after or after[0] == "\n":
            self._fence = ""
        return len(run)

    def _spaces(self, text: str, pos: int, final: bool, out: list[Piece]) -> int:
        """Spaces wait for what follows them, so that a dropped marker takes its space along."""
        end = pos
        while end < len(text) and text[end] == " ":
            end += 1
        if end == len(text) and not final:
            return 0
        spaces = text[pos:end]
        if end < len(text) and text[end] in "[【［" and not self._fence:
            used = self._bracket(text, end, final, out, lead=spaces)
            return used + len(spaces) if used else 0
        return self._text(spaces, out)

    def _bracket(self, text: str, pos: int, final: bool, out: list[Piece], lead: str) -> int:
        found = _MARKER.match(text, pos)
        if found:
            # "[1]" might still become "[[1]]" only if it began with "[[": decided by the pattern's order.
            self._markers(_numbers(next(group for group in found.groups() if group)), lead, out)
            self._line_start = False
            return found.end() - pos
        if not final and _may_become_one(text, pos):
            return 0
        self._text(lead + text[pos], out)
        self._line_start = False
        return 1

    def _markers(self, numbers: list[int], lead: str, out: list[Piece]) -> None:
        """Emit the valid ones; a repetition of the one just before says nothing new."""
        said = len(out)
        for number in numbers:
            index = number - 1
            if not 0 <= index < self.passages or (self._after_marker and index == self._last_cited):
                continue
            if index not in self.order:
                self.order.append(index)
            if lead:
                out.append(lead)
                lead = ""
            out.append(Cite(self.order.index(index) + 1, index))
            self._after_marker, self._touching, self._last_cited = True, True, index
            self._tail = ""
        if len(out) == said and _OPEN_END.search(self._tail):
            self._text(" ", out)  # else what stands around a dropped marker could become one: "[[9]1]"

    def _text(self, text: str, out: list[Piece]) -> int:
        guard = " " if self._touching and text[:1] in ("(", ":", "[") and not self._fence else ""
        out.append(guard + text)
        if text.strip(" "):
            self._after_marker = False
        self._touching = False
        self._tail = (self._tail + guard + text)[-4:]
        return len(text)


def _opens_block(run: str, rest: str, final: bool) -> bool | None:
    """Whether a run that begins a line opens a code block: no backtick follows on the line. None: not yet known."""
    line, newline, _ = rest.partition("\n")
    if run[0] == "~":
        return True
    if "`" in line[:_MAX_INFO]:
        return False
    return True if newline or final or len(line) > _MAX_INFO else None


def _code_span(run: str, rest: str, final: bool) -> int | None:
    """The length of the inline code that a run opens, or of the run where nothing closes it. None: not yet known."""
    line, newline, _ = rest[: _MAX_INLINE + len(run)].partition("\n")
    closing = re.search(rf"(?<!`){run}(?!`)", line)
    whole = newline or final or len(rest) > _MAX_INLINE + len(run)
    if closing and (whole or closing.end() < len(line)):
        return len(run) + closing.end()
    return len(run) if whole else None


def _may_become_one(text: str, pos: int) -> bool:
    """Whether what stands at the end of a delta may be the beginning of a marker."""
    found = _PARTIAL.match(text, pos)
    if not found:
        return False
    word, after = (found.group(1) or "").lower(), found.group(2)
    return not word or word in _WORDS or (not after and any(known.startswith(word) for known in _WORDS))


def _numbers(inside: str) -> list[int]:
    """The numbers of "1, 3-5": ranges are spelt out, up to ten long."""
    found: list[int] = []
    for part in re.split(r"[,，、;；&]", inside):
        ends = [int(end) for end in re.split("[-–—]", part)]
        low, high = ends[0], ends[-1]
        found.extend(range(low, high + 1) if 0 <= high - low <= _MAX_RANGE else ends)
    return found


def _merge(pieces: list[Piece]) -> list[Piece]:
    """Join neighbouring strings, drop empty ones."""
    out: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and out and isinstance(out[-1], str):
            out[-1] += piece
        elif piece:
            out.append(piece)
    return out


def strip_markers(text: str) -> str:
    """Text without any citation marker: earlier answers go back into a prompt this way."""
    stream = CitationStream(passages=0)
    return "".join(piece for piece in [*stream.feed(text), *stream.close()] if isinstance(piece, str))
