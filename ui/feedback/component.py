"""Opinions from the page: a component without a face, whose script is feedback.js.

The browser sends which reply and which button; the turn itself is read out of the conversation component. What comes
back is that one turn drawn anew, so that an opinion can be given while another answer streams.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from data.errors import GatewayError
from ui.chat import render
from ui.client import Gateway, RequestError
from ui.feedback.client import Act, act_in, done, typed
from ui.feedback.opinion import Opinion, opinable, with_opinion
from ui.i18n import Words
from ui.panel import QUIET, authorization
from ui.turns import Turn, on_page

HERE = Path(__file__).parent


class Opinions:
    """Sends opinions to ``gateway`` as whoever uses the page."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def build(self, conversation: Any) -> None:
        """The component and its event. ``conversation``: the component that holds the turns."""
        self.component = gr.HTML(
            html_template="<div></div>",
            js_on_load=(HERE / "feedback.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_id="dd-opinions",
        )
        self.component.submit(
            self.opine,
            [conversation],
            [self.component],
            queue=False,
            trigger_mode="multiple",
            concurrency_limit=None,
            **QUIET,
        )

    async def opine(self, value: Any, event: gr.EventData, request: gr.Request | None = None) -> dict[str, Any]:
        """The turn drawn anew; ``focus``: a selector of what the reader goes on with."""
        words, act = Words.of(value), act_in(event._data)
        turn = next((turn for turn in on_page(value) if act and turn.key == act.key), None)
        if act is None or turn is None or not opinable(turn, act.choice):
            return {"key": act.key if act else "", "n": secrets.token_hex(4)}
        gateway = self.gateway.as_user(authorization(request))
        turn, focus = await self._after(gateway, turn, act, words)
        drawn = render.item(turn, words)
        return {"key": act.key, "choice": act.choice, "focus": focus, "item": drawn, "n": secrets.token_hex(4)}

    async def _after(self, gateway: Gateway, turn: Turn, act: Act, words: Words) -> tuple[Turn, str]:
        now = turn.replies[act.choice].opinion
        try:
            opinion = await done(gateway, turn.answer_id, act, now)
        except GatewayError as error:
            failed = replace(typed(act, now) if act.do == "send" else now, failure=_explained(error, words))
            return with_opinion(turn, act.choice, failed), ""
        return with_opinion(turn, act.choice, opinion), _focus(act, opinion)


def _explained(error: GatewayError, words: Words) -> str:
    code = error.code if isinstance(error, RequestError) else "unreachable"
    return words.first(f"opinion.failed.{code}", "opinion.failed", reason=str(error))


def _focus(act: Act, opinion: Opinion) -> str:
    """What takes the place of what was pressed; "": it is still there."""
    if opinion.open:
        return "form input, form textarea"
    if act.do in ("send", "promote"):
        return ".dd-opinion"
    return '[data-opinion="down"]' if act.do in ("cancel", "take_back") else ""
