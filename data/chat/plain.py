"""The text of a reply that was to be JSON."""

from __future__ import annotations

import re

from data.chat.calls import Reply, TurnedDown
from data.thinking import split_thinking

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


def plain(reply: Reply) -> str:
    """Whole, not empty, without thinking and fence. Raises TurnedDown (``cut-off``, ``empty``)."""
    if reply.finish == "length":
        raise TurnedDown("cut-off", "stopped at the token limit")
    text = split_thinking(reply.text)[1].strip()
    if not text:
        raise TurnedDown("empty", "the model said nothing")
    fenced = _FENCED.match(text)
    return fenced[1] if fenced else text
