"""Who answers: what the browser's component (voices.js) offers, and what it sends back. Pure.

The browser keeps what was chosen, for the conversation and for the next visit; what it sends is untrusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ui.i18n import Words

ORDER = ("auto", "rag", "sft", "sft-rag", "compare", "blind", "base")
COMPARE, BLIND = "compare", "blind"  # a blind test is a comparison that does not tell whose answers these are
TWO = (COMPARE, BLIND)  # they answer twice
LONGEST = 100  # characters of a name that a browser may send


def offered(models: Sequence[str]) -> list[str]:
    """The voices that a gateway with ``models`` has, in the order in which they are shown."""
    names = [*models, BLIND] if COMPARE in models else list(models)
    return sorted(dict.fromkeys(names), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def asked(voice: str) -> tuple[str, bool]:
    """(the model to ask for, whether it is a blind test)."""
    return (COMPARE, True) if voice == BLIND else (voice, False)


def component(names: Sequence[str], words: Words, chosen: str = "") -> dict[str, Any]:
    """The component's value: voices to choose from with what they do, and which one is chosen."""
    voices = [[name, words.voice(name), words.first(f"hint.{name}", "hint.other")] for name in names]
    picked = chosen if chosen in names else next(iter(names), "")
    return {"lang": words.lang, "label": words("voice_label"), "voices": voices, "chosen": picked}


def chosen(value: Any) -> str:
    """The voice in what the browser sent; "" where that is none."""
    name = value.get("chosen") if isinstance(value, dict) else value
    return name if isinstance(name, str) and len(name) <= LONGEST else ""
