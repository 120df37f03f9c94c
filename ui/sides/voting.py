"""Votes from the page: a component without a face, whose script is sides.js.

The browser sends which turn and which side; the turn itself is read out of the conversation component. What comes back
is that one turn drawn anew, or an error for its place, so that a vote can be given while another answer streams.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import gradio as gr

from data.errors import GatewayError
from ui.chat import render
from ui.client import Gateway, RequestError
from ui.i18n import Words
from ui.panel import QUIET, authorization
from ui.sides.client import cast, chosen
from ui.turns import on_page

HERE = Path(__file__).parent


class Voting:
    """Sends votes to ``gateway`` as whoever uses the page."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def build(self, conversation: Any) -> None:
        """The component and its event. ``conversation``: the component that holds the turns."""
        self.component = gr.HTML(
            html_template="<div></div>",
            js_on_load=(HERE / "sides.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_id="dd-voting",
        )
        self.component.submit(
            self.vote,
            [conversation],
            [self.component],
            queue=False,
            trigger_mode="multiple",
            concurrency_limit=None,
            **QUIET,
        )

    async def vote(self, value: Any, event: gr.EventData, request: gr.Request | None = None) -> dict[str, Any]:
        """What sides.js puts in its place: a turn drawn anew, or an error under the vote."""
        words, data = Words.of(value), event._data if isinstance(event._data, dict) else {}
        key, vote = str(data.get("key", ""))[:100], chosen(data)
        answer = {"key": key, "n": secrets.token_hex(4)}  # a second error of the same words is news as well
        turn = next((turn for turn in on_page(value) if turn.key == key), None)
        if turn is None or vote is None or not turn.votable:
            return {**answer, "error": words("vote.gone")}
        try:
            cast_turn = await cast(self.gateway.as_user(authorization(request)), turn, vote)
        except GatewayError as error:
            return {**answer, "error": _explained(error, words)}
        return {**answer, "item": render.item(cast_turn, words)}


def _explained(error: GatewayError, words: Words) -> str:
    status = error.status if isinstance(error, RequestError) else 0
    return words.first(f"vote.failed.{status}", "vote.failed", reason=str(error))
