"""Gradio's page, in which an output that is left alone costs nothing.

Gradio makes a new component, twice over, for every `gr.skip()` of every step: with three of them in each redraw of an
answer that streams, that was a third of what the server did.
"""

from __future__ import annotations

import copy
from typing import Any

import gradio as gr

ALONE = {"__type__": "update"}
"""What `gr.skip()` is."""


class Page(gr.Blocks):
    """`gr.Blocks`, but for outputs that are skipped."""

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """As Gradio's, which never sees the skipped ones."""
        count = len(block_fn.outputs)
        whole = (
            isinstance(predictions, tuple | list) and len(predictions) == count > 1
        )  # else Gradio says what is wrong
        if not whole or ALONE not in predictions:
            return await super().postprocess_data(block_fn, predictions, state)
        kept = [n for n, prediction in enumerate(predictions) if prediction != ALONE]
        fewer = copy.copy(block_fn)
        fewer.outputs = [block_fn.outputs[n] for n in kept]
        values = [predictions[n] for n in kept]
        done = await super().postprocess_data(fewer, values[0] if len(kept) == 1 else values, state)
        output: list[Any] = [dict(ALONE) for _ in predictions]
        for n, value in zip(kept, done, strict=True):
            output[n] = value
        return output
