"""Whether a small model's answer is to be shown: held back until its first sentence is there, and watched for loops.

How sure a model was is the mean log-probability of its tokens, which it tells itself (OpenAI's `logprobs`); below an
engine's ``quote_below`` the passages are quoted instead. Nor is such a model's refusal believed where the search
is sure that the passages answer. An engine without that setting is not watched. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from data.sentences import claims, first_sentence

UNSURE = "low confidence"
LOOP = "repetition"
REFUSED = "model refused"
HELD_CHARS = 600  # a first sentence longer than this is decided on as it stands
TIMES = 3  # a sentence said so often is a loop
SENTENCE_CHARS = 12  # shorter ones, such as the cells of a table, may come again
_ENDS = re.compile(r"[.!?。！？\n]")
_TURNING = re.compile(r"(.{3,80}?)\1{4,}$", re.DOTALL)
_TAIL = 400  # characters of the end that are searched for a loop without full stops


class Doubt:
    """Feed the pieces of an answer, get what may be shown. ``reason``: why it is not to go on; "" while it may."""

    def __init__(self, quote_below: float) -> None:
        """``quote_below``: mean log-probability, at most 0; 0 lets everything pass."""
        self._below = quote_below
        self._held = ""
        self._said = ""
        self._passed = not quote_below
        self.reason = ""

    def feed(self, text: str, logprobs: Sequence[float]) -> str:
        """``logprobs``: of all tokens of the answer so far."""
        if not self._below or not text or self.reason:
            return "" if self.reason else text
        if not self._passed:
            self._held += text
            if first_sentence(self._held) == len(self._held) and len(self._held) < HELD_CHARS:
                return ""
            text = self._decided(logprobs)
        return self._unless_loop(text)

    def close(self, text: str, logprobs: Sequence[float]) -> str:
        """The answer has ended, ``text`` its last piece."""
        shown = self.feed(text, logprobs)
        return shown if self._passed or self.reason else self._unless_loop(self._decided(logprobs))

    def _decided(self, logprobs: Sequence[float]) -> str:
        """What was held back, where the model was sure enough; an engine that tells nothing is believed."""
        self._passed, held, self._held = True, self._held, ""
        if logprobs and held.strip() and sum(logprobs) / len(logprobs) < self._below:
            self.reason = UNSURE
            return ""
        return held

    def _unless_loop(self, text: str) -> str:
        self._said += text
        if text and (self._turning() or (_ENDS.search(text) and self._repeated())):
            self.reason = LOOP
            return ""
        return text

    def _repeated(self) -> bool:
        said = Counter(
            "".join(self._said[span.start : span.end].split()) for span in claims(self._said) if not span.code
        )
        return any(times >= TIMES and len(sentence) >= SENTENCE_CHARS for sentence, times in said.items())

    def _turning(self) -> bool:
        """Whether the end is one piece, letters in it, five times over; rules and rows of digits are none."""
        found = _TURNING.search(self._said[-_TAIL:])
        return found is not None and any(map(str.isalpha, found[1]))
