"""The report panel: what votes, answers and evaluation runs prove, as the gateway counts and draws it.

It is loaded when somebody looks at it, with the rights of whoever looks. Files travel through the page, since a link
to the API would carry no key.
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from pydantic import BaseModel, ValidationError

from data.errors import GatewayError
from ui.client import Gateway
from ui.i18n import Words, choose
from ui.panel import QUIET, authorization
from ui.report import render
from ui.report.client import report

HERE = Path(__file__).parent


class Asked(BaseModel):
    """What the browser asks for. ``format``: "" for the report itself, else a file of it."""

    since: Literal["", "24h", "7d", "30d", "90d"] = ""
    format: Literal["", "html", "png", "csv", "json"] = ""


class Report:
    """One HTML component; its value holds the language, what is chosen, the report, and a file for the browser."""

    key = "report"
    role = ""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def build_header(self) -> None:
        """Nothing."""

    def build(self) -> None:
        self.report = gr.HTML(
            html_template='<div class="dd-report"></div>',
            js_on_load=(HERE / "report.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_id="dd-report",
        )
        self.loading = self.report.submit(self.load, [self.report], [self.report], concurrency_limit=None, **QUIET)

    @property
    def outputs(self) -> list[Any]:
        return [self.report]

    @property
    def kept(self) -> list[Any]:
        return [self.report]

    @property
    def running(self) -> list[Any]:
        return [self.loading]

    async def page(self, words: Words, gateway: Gateway, value: Any = None) -> dict[Any, Any]:
        """Empty at first, as nobody may look at it; in another language, counted anew where it was seen."""
        since = _asked({"since": (value or {}).get("since", "")} if isinstance(value, dict) else {}).since
        seen = isinstance(value, dict) and bool(value.get("html"))
        return {self.report: await self._shown(words, gateway, since) if seen else _value(words, since)}

    async def load(self, value: Any, event: gr.EventData, request: gr.Request | None = None) -> Any:
        """The report, or a file of it."""
        words = Words(choose("", str(value.get("lang", "")))) if isinstance(value, dict) else Words()
        asked = _asked(event._data)
        gateway = self.gateway.as_user(authorization(request))
        if not asked.format:
            return await self._shown(words, gateway, asked.since)
        try:
            content = await report(gateway, asked.format, asked.since, words.lang)
        except GatewayError as error:
            return _value(words, asked.since, render.failed_html(words, str(error)))
        name, kind = render.DOWNLOADS[asked.format]
        file = {"id": secrets.token_hex(4), "name": name, "type": kind, "data": base64.b64encode(content).decode()}
        return value | {"file": file} if isinstance(value, dict) else _value(words, asked.since)

    async def _shown(self, words: Words, gateway: Gateway, since: str) -> dict[str, Any]:
        try:
            html = (await report(gateway, "fragment", since, words.lang)).decode("utf-8")
        except GatewayError as error:
            html = render.failed_html(words, str(error))
        return _value(words, since, html)


def _asked(data: Any) -> Asked:
    """What is no wish of ours is the plain report."""
    try:
        return Asked.model_validate(data or {})
    except ValidationError:
        return Asked()


def _value(words: Words, since: str, html: str = "") -> dict[str, Any]:
    bar, waiting = render.bar_html(words, since), render.waiting_html(words)
    return {"lang": words.lang, "since": since, "bar": bar, "waiting": waiting, "html": html, "file": None}
