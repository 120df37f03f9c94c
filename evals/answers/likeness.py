"""chrF: likeness to the reference by groups of one to six characters (Popović, WMT 2015), as sacrebleu computes it.

Characters suit Chinese and English alike. It says nothing of truth: read it beside the facts.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from data.citations import strip_markers


def chrf(answer: str, reference: str) -> float:
    """0 to 1; markers aside."""
    return float(_metric().sentence_score(strip_markers(answer), [reference]).score) / 100


@cache
def _metric() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()
