"""The list of conversations beside the chat: its components, and what its browser part (conversations.js) asks for.

The chat panel builds it, and opens what is chosen in it: the conversation itself is the chat's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from pydantic import BaseModel, Field, ValidationError

from data.errors import GatewayError
from ui.client import Gateway, RequestError
from ui.conversations import client, render
from ui.i18n import Words, choose
from ui.panel import QUIET, authorization

HERE = Path(__file__).parent
IDS = re.compile(r"conv_[\w-]{1,60}", re.ASCII)
_WORDS = ("rename", "rename_label", "export", "delete", "delete_sure", "cancel", "more")
_GROUPS = ("today", "yesterday", "week", "older")
_TEMPLATE = """<div class="dd-side-body">
<input type="search" class="dd-side-search" maxlength="200" autocomplete="off" spellcheck="false">
<div class="dd-side-said" role="status"></div>
<nav class="dd-side-entries"></nav></div>"""


class Wish(BaseModel):
    """What the browser asks for: a part of the list, or a change and then the list anew."""

    action: Literal["list", "rename", "delete"] = "list"
    q: str = Field("", max_length=200)
    after: str = Field("", max_length=200)
    id: str = Field("", max_length=100)
    title: str = Field("", max_length=1000)


class Sidebar:
    """Conversations to choose from. ``gateway`` keeps them."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._keeps: bool | None = None

    def build(self) -> None:
        """The list, the button that hides it, and the one that begins a new chat."""
        words = Words()
        with gr.Column(elem_id="dd-side"):
            with gr.Row(elem_id="dd-side-top"):
                self.toggle = gr.HTML(elem_id="dd-side-toggle", apply_default_css=False)
                self.new = gr.Button(words("new_chat"), elem_id="dd-new", size="sm")
            self.list = gr.HTML(
                html_template=_TEMPLATE,
                js_on_load=(HERE / "conversations.js").read_text(encoding="utf-8"),
                apply_default_css=False,
                elem_id="dd-side-list",
            )
        self.list.submit(self.wished, [self.list], [self.list], queue=False, trigger_mode="multiple", **QUIET)

    @property
    def outputs(self) -> list[Any]:
        return [self.toggle, self.new, self.list]

    async def keeps(self, gateway: Gateway) -> bool:
        """Whether the gateway keeps conversations at all; it is asked once."""
        if self._keeps is None:
            await self._listed(Words(), gateway)
        return self._keeps is not False

    async def page(self, words: Words, gateway: Gateway, value: Any = None) -> dict[Any, Any]:
        """The components in this language. ``value``: what the list held before."""
        query = value.get("q") if isinstance(value, dict) else ""
        return {
            self.toggle: render.toggle_html(words),
            self.new: words("new_chat"),
            self.list: await self._listed(words, gateway, query if isinstance(query, str) else ""),
        }

    async def wished(self, value: Any, event: gr.EventData, request: gr.Request | None = None) -> Any:
        """The list after what the browser asks for."""
        words = words_of(value)
        try:
            wish = Wish.model_validate(event._data)
        except ValidationError:
            return gr.skip()
        gateway = self.gateway.as_user(authorization(request))
        said = await self._changed(wish, words, gateway)
        return await self._listed(words, gateway, wish.q, wish.after, said)

    async def _changed(self, wish: Wish, words: Words, gateway: Gateway) -> str:
        """Do it; what went wrong, or ""."""
        try:
            if wish.action == "rename" and wish.title.strip():
                await client.rename(gateway, wish.id, wish.title.strip()[:200])
            elif wish.action == "delete":
                await client.delete(gateway, wish.id)
        except GatewayError as error:
            gone = isinstance(error, RequestError) and error.code == "conversation_not_found"
            return words("conversations.missing") if gone else words("conversations.failed", reason=error)
        return ""

    async def _listed(
        self, words: Words, gateway: Gateway, query: str = "", after: str = "", said: str = ""
    ) -> dict[str, Any]:
        """The component's value. ``there``: whether this gateway keeps conversations at all."""
        value: dict[str, Any] = {
            "lang": words.lang,
            "q": query,
            "after": after,
            "said": said,
            "next": "",
            "there": True,
        }
        value["words"] = {name: words(f"conversations.{name}") for name in _WORDS}
        value["words"] |= {"label": words("conversations"), "search": words("conversations.search")}
        value["groups"] = {name: words(f"conversations.{name}") for name in _GROUPS}
        try:
            page = await client.listed(gateway, query, after)
        except GatewayError as error:
            away = isinstance(error, RequestError) and error.status in (404, 405)
            self._keeps = False if away else self._keeps
            note = render.note_html(words("conversations.failed", reason=error))
            return value | {"there": not away, "html": "", "note": note}
        self._keeps = True
        empty = "" if page.entries or after else words("conversations.not_found" if query else "conversations.none")
        note = render.note_html(empty) if empty else ""
        return value | {"html": render.entries_html(page.entries, words), "next": page.next, "note": note}


def words_of(value: Any) -> Words:
    """The language of a component's value that the browser sent."""
    return Words(choose("", str(value.get("lang", "")))) if isinstance(value, dict) else Words()


def wanted(value: Any) -> str:
    """The conversation that the browser wants to see, "" for a new one."""
    id = value.get("wanted") if isinstance(value, dict) else ""
    return id if isinstance(id, str) and len(id) <= 100 else ""
