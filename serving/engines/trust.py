"""What an engine's model is trusted with: its three settings of [[serving.engines]] that the arms go by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trust:
    """``quote_below``: mean log-probability, at most 0; an answer less sure than that is quoted instead
    (serving/arms/doubt.py), and its tokens' log-probabilities are asked for. 0: never. ``refuse_below``: questions that
    the docs answer with a smaller probability are refused without asking. ``rewrites``: whether it is good enough to
    reword a question for the search.
    """

    quote_below: float = 0.0
    refuse_below: float = 0.0
    rewrites: bool = True


BELIEVED = Trust()
"""In all it says."""
