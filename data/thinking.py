"""Keep a model's thinking out of its answer, also when the server in front of it has no reasoning parser.

``<think>...</think>`` at the start of the text is thinking; anything later is the answer. Pure, streaming.
"""

from __future__ import annotations

from dataclasses import dataclass

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass
class ThinkSplitter:
    """``feed`` returns (thinking, answer) pieces that are certain after this delta."""

    _held: str = ""
    _state: str = "start"  # start | thinking | gap (the empty lines after thinking) | answer

    def feed(self, text: str) -> tuple[str, str]:
        self._held += text
        thinking = ""
        if self._state == "start":
            head = self._held.lstrip()
            if head.startswith(_OPEN):
                self._state, self._held = "thinking", head[len(_OPEN) :]
            elif head and not _OPEN.startswith(head):
                self._state = "answer"
            elif head:
                return "", ""
        if self._state == "thinking":
            thinking = self._take_thinking()
        if self._state == "gap":
            self._held = self._held.lstrip("\n")
            self._state = "answer" if self._held else "gap"
        if self._state != "answer":
            return thinking, ""
        answer, self._held = self._held, ""
        return thinking, answer

    def close(self) -> tuple[str, str]:
        """What was held back: thinking that never ended stays thinking."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thinking" else ("", held)

    def _take_thinking(self) -> str:
        before, found, after = self._held.partition(_CLOSE)
        if found:
            self._state, self._held = "gap", after
            return before
        keep = next((n for n in range(len(_CLOSE) - 1, 0, -1) if before.endswith(_CLOSE[:n])), 0)
        self._held = before[len(before) - keep :]
        return before[: len(before) - keep]


def split_thinking(text: str) -> tuple[str, str]:
    """(thinking, answer) of a whole text; thinking that never ends is all thinking."""
    splitter = ThinkSplitter()
    pieces = [splitter.feed(text), splitter.close()]
    return "".join(thinking for thinking, _ in pieces), "".join(answer for _, answer in pieces)
