"""Follow-up questions told from those that stand alone, and joined with what they lean on. Pure; no model is asked.

"and on Windows?" cannot be searched, "How do I install X on Linux on Windows" can. Where a model is there to write a
better question, serving/arms/rewrite.py asks it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from data.prompts import Message
from rag.lexical import terms

_OPENERS = re.compile(
    r"^\s*(and|but|or|so|then|also|what about|how about|what if|why|which one|ok(ay)?\b|same|instead|"
    r"那么?|还有|如果|但是|而且|另外|换成|然后|为什么$|为何$|怎么办)",
    re.IGNORECASE,
)
_POINTERS = re.compile(
    r"\b(it|its|that|this|these|those|they|them|there|the same|the other|above|former|latter|one)\b|"
    r"它|[这那](?!么)|上述|上面|前者|后者|刚才|刚刚|(?<!应)该|(?<![尤极])其(?![他它余中实])",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^\s*(and|but|or|so|then|also|what about|how about|那么?|还有)[\s,，]*(?P<rest>.+?)\s*[呢吗]?[?？]?\s*$",
    re.IGNORECASE | re.DOTALL,
)


def to_search(question: str, history: Sequence[Message]) -> str:
    """What is searched without a model: the question, joined with the one before it where it leans on that."""
    return join(question, history) if is_follow_up(question, history) else question


def is_follow_up(question: str, history: Sequence[Message]) -> bool:
    """Whether the question leans on earlier turns: it opens like one, points back, or is a mere fragment.

    Asked again in the same words, it leans on those before it, never on itself.
    """
    if not _before(question, history):
        return False
    words = [term for term in terms(question) if term.kind in ("word", "identifier")]  # pairs would count Chinese twice
    few = 2 if question.isascii() else 1  # "Windows?", "默认是什么？"; "网关的端口是什么？" names its subject
    fragment = len(words) <= few and len(question.split()) <= 4  # not "Who is king of Spain?"
    return fragment or bool(_OPENERS.search(question) or _POINTERS.search(question))


def join(question: str, history: Sequence[Message]) -> str:
    """Without a model: the last question that stood alone, then what is new in this one."""
    asked = _before(question, history)
    topic = next((turn for turn in reversed(asked) if not _OPENERS.search(turn)), asked[-1])
    new = _LEAD.match(question)
    rest = new.group("rest") if new else question
    return f"{topic.strip().rstrip('?？')} {rest.strip()}"


def _before(question: str, history: Sequence[Message]) -> list[str]:
    """The other questions of the conversation."""
    asked = (turn["content"] for turn in history if turn["role"] == "user")
    return [said for said in asked if said.strip() != question.strip()]
