"""The filters below the question box: what the browser's component (filters.js) is given, and what it sends back. Pure.

The browser keeps what was chosen, for the conversation and for the next visit; what it sends is untrusted.
"""

from __future__ import annotations

from typing import Any

from data.types import Filters
from ui.client import Labels
from ui.i18n import Words

NAMES = ("product", "version", "lang")
LONGEST = 200  # characters of a label that a browser may send


def component(labels: Labels, words: Words, chosen: Filters) -> dict[str, Any]:
    """The component's value: names and values to choose from, what is chosen, and the words around them."""
    return {
        "lang": words.lang,
        "label": words("filters"),
        "names": {name: words(f"filter.{name}") for name in NAMES},
        "all": {name: words(f"filter.{name}.all") for name in NAMES},
        "values": {name: list(labels.values.get(name, ())) for name in NAMES},
        "combinations": [list(entry) for entry in labels.combinations],
        "chosen": vars(chosen),
    }


def chosen(value: Any) -> Filters:
    """The filters in what the browser sent; whatever is no filter is left out."""
    given = value.get("chosen") if isinstance(value, dict) else None
    kept = {
        name: text
        for name in NAMES
        if isinstance(given, dict) and isinstance(text := given.get(name), str) and len(text) <= LONGEST
    }
    return Filters(**kept)


def shown(filters: Filters, words: Words) -> str:
    """``Widget · 2.1 · Chinese``."""
    return " · ".join(filter(None, [filters.product, filters.version, words.language(filters.lang)]))
