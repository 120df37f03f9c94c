"""What a report looks at a vote by, out of the comparison that was voted on. Pure; no words of anybody.

``topic``: title of the page cited first, by the voice that reads the docs where there is one. ``in_docs``: whether that
voice answered or refused. ``favoured``: the arm that the router believed in more, where it let both answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.store.tables import Answer, Choice

READS = ("rag", "sft-rag")


def facts_of(answer: Answer, choices: Sequence[Choice]) -> dict[str, Any]:
    """Columns of ``votes`` for two choices, the left one first."""
    left, right = choices
    readers = [choice for choice in choices if choice.arm in READS]
    ranked = readers + [choice for choice in choices if choice not in readers]
    cited: dict[str, Any] = next((choice.sources[0] for choice in ranked if choice.sources), {})
    return {
        "left_chars": len(left.text),
        "right_chars": len(right.text),
        "lang": answer.lang,
        "topic": cited.get("title", ""),
        "product": answer.filters.get("product") or cited.get("product", ""),
        "in_docs": "" if not readers else "no" if readers[0].refused else "yes",
        "favoured": _favoured(answer),
    }


def _favoured(answer: Answer) -> str:
    """ "" where the router did not choose, or believed in both alike."""
    scores = answer.route.get("scores") or {}
    known = {arm: scores[arm] for arm in answer.route.get("arms", ()) if arm in scores}
    if answer.model != "auto" or len(set(known.values())) < 2:
        return ""
    return max(known, key=lambda arm: known[arm])
