"""The administrators' panel: one HTML component whose sections have addresses of their own (`/#admin/gaps`).

admin.js says what is looked at; the gateway is asked as the user of the page, and refuses whoever is no administrator.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from data.errors import GatewayError
from ui.admin import client, documents, operations
from ui.admin.asked import SECTIONS, Asked, read
from ui.admin.markup import notice
from ui.client import Gateway, RequestError
from ui.i18n import Words
from ui.panel import QUIET, authorization

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
BUSY_S, CALM_S = 1.0, 5.0
"""How soon an open page looks again: while something is under way, and else."""

GAPS_SHOWN = 50


@dataclass(frozen=True)
class View:
    """A section as it is shown. ``again_s``: when to look again, 0 for never; ``file``: name and text to save."""

    html: str
    again_s: float = 0.0
    file: dict[str, str] = field(default_factory=dict)


class Admin:
    """What administrators see."""

    key = "admin"
    role = "admin"

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def build_header(self) -> None:
        """Nothing of its own."""

    def build(self) -> None:
        self.view = gr.HTML(
            html_template='<div class="dd-admin"></div>',
            js_on_load=(HERE / "admin.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_id="dd-admin",
        )
        every: Any = {"trigger_mode": "multiple", "concurrency_limit": None, "queue": False}  # none may be lost
        self.view.submit(self.look, None, [self.view], **every, **QUIET)

    @property
    def outputs(self) -> list[Any]:
        return [self.view]

    @property
    def kept(self) -> list[Any]:
        return []

    @property
    def running(self) -> list[Any]:
        return []

    async def page(self, words: Words, gateway: Gateway, *kept: Any) -> dict[Any, Any]:
        """Nothing before it is looked at: admin.js asks for it then, in this language."""
        return {self.view: {"lang": words.lang, "html": ""}}

    async def look(self, event: gr.EventData, request: gr.Request | None = None) -> dict[str, Any]:
        """What the browser asks for, done and shown."""
        asked = read(event._data)
        words = asked.words
        view = await self._safely(asked, self.gateway.as_user(authorization(request)))
        return {
            "lang": words.lang,
            "seq": asked.seq,
            "html": f'{_nav(asked, words)}<div class="dd-section">{view.html}</div>',
            "again_ms": int(1000 * view.again_s),
            "file": view.file,
            "yes": words("admin.yes"),
            "no": words("admin.no"),
        }

    async def _safely(self, asked: Asked, gateway: Gateway) -> View:
        """Whatever goes wrong is said in the section."""
        said = ""
        try:
            if asked.action not in ("look", "csv"):
                said = await _act(asked, gateway)
        except GatewayError as error:
            said = notice("bad", _explained(error, asked.words))
        try:
            view = await _section(asked, gateway)
        except GatewayError as error:
            shown = said or notice("bad", _explained(error, asked.words))
            return View(shown, CALM_S if _passing(error) else 0.0)
        except Exception:
            log.exception("the section %s failed", asked.section)
            return View(notice("bad", asked.words("admin.unforeseen")))
        return View(said + view.html, view.again_s, view.file)


async def _act(asked: Asked, gateway: Gateway) -> str:
    """Do what a button says; what came of it."""
    words = asked.words
    match asked.action:
        case "sync":
            await client.sync(gateway)
            return notice("good", words("admin.sync_started"))
        case "rollback":
            await client.rollback(gateway, asked.target)
            return notice("good", words("admin.rolled_back", id=asked.target))
        case _:
            await client.restart(gateway, asked.target)
            return notice("good", words("admin.restarting", name=asked.target))


async def _section(asked: Asked, gateway: Gateway) -> View:
    words = asked.words
    match asked.section:
        case "sources":
            body = await client.sources(gateway)
            busy = body["sync"]["state"] == "running" or body["sync"].get("progress")
            html = operations.sources(body, words)
            return View(html, BUSY_S if busy or asked.action == "sync" else CALM_S)
        case "indexes":
            return View(operations.indexes(await client.generations(gateway), words), CALM_S)
        case "engines":
            engines, voices = await client.engines(gateway), await client.voices(gateway)
            busy = any(one["state"] in ("starting", "restarting") for one in engines["data"])
            return View(operations.engines(engines, voices, words), BUSY_S if busy else CALM_S)
        case "gaps":
            return await _gaps(asked, gateway)
        case "chunks":
            return View(await _chunks(asked, gateway))
        case "search":
            labels, query = await gateway.labels_async(), asked.q.strip()
            found = await client.search(gateway, query, asked.top_k, asked.filters) if query else None
            return View(documents.search(found, asked, labels, words))


async def _gaps(asked: Asked, gateway: Gateway) -> View:
    if asked.target:
        return View(documents.answer(await client.answer(gateway, asked.target), asked.words))
    html = documents.gaps(await client.gaps(gateway, asked.days, GAPS_SHOWN), asked, asked.words)
    if asked.action != "csv":
        return View(html)
    name = f"docduet-gaps-{asked.days}-days.csv"
    return View(html, file={"name": name, "text": await client.gaps_csv(gateway, asked.days)})


async def _chunks(asked: Asked, gateway: Gateway) -> str:
    if asked.target:
        return documents.chunks(await client.chunks(gateway, asked.target), asked.words)
    found = await client.pages(gateway, asked.q[:200], documents.PAGES_SHOWN, asked.offset)
    return documents.pages(found, asked, asked.words)


def _nav(asked: Asked, words: Words) -> str:
    links = "".join(
        f'<a href="#admin/{name}" data-key="nav-{name}"{" aria-current=page" if name == asked.section else ""}>'
        f"{escape(words(f'admin.{name}'))}</a>"
        for name in SECTIONS
    )
    return f'<nav class="dd-sections" aria-label="{escape(words("panel.admin"))}">{links}</nav>'


def _explained(error: GatewayError, words: Words) -> str:
    code = error.code if isinstance(error, RequestError) else ""
    return words(f"admin.error.{code}") if code in ("admins_only", "sync_running") else str(error)


def _passing(error: GatewayError) -> bool:
    """Whether it may be over soon: a gateway that does not answer, or that is overloaded."""
    return not isinstance(error, RequestError) or error.status >= 500
