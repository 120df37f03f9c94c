"""The chat app: Gradio at ``/``, an HTTP client of the gateway and nothing else.

    mount(app, "http://127.0.0.1:7860", UiConfig())     # after every other route: what is left over is the app's

The frame: header, names of the panels, language, light or dark. What a panel shows is its own (ui/panel.py).
"""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr  # here, since Gradio resolves the annotations below; so import this module only to serve the app

from ui.account import render as account
from ui.account.client import Me, me
from ui.admin.panel import Admin
from ui.chat import render
from ui.chat.panel import Chat
from ui.client import Gateway
from ui.config import UiConfig
from ui.i18n import Words, choose
from ui.page import Page
from ui.panel import QUIET, Panel, authorization, cancel_then
from ui.report.panel import Report

if TYPE_CHECKING:
    from fastapi import FastAPI

HERE = Path(__file__).parent
FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Noto Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
STYLES = (HERE / "controls.css", HERE / "style.css", *sorted(HERE.glob("*/style.css")))
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def mount(app: FastAPI, gateway_url: str, config: UiConfig, handbook: bool = False) -> FastAPI:
    """``app`` with the chat app at ``/``. Routes that ``app`` has already keep their paths.

    ``handbook``: the docs are the bundled handbook, so its example questions are offered where [ui] names none.
    """
    os.environ.setdefault("MPLBACKEND", "agg")  # Gradio asks for it at each event: else the first loads pyplot, 0.5 s
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # else statistics nobody reads after every answer

    return gr.mount_gradio_app(
        app,
        Frame(Gateway(gateway_url), config, handbook).blocks(),
        path="/",
        theme=gr.themes.Base(font=FONTS, font_mono=MONO),  # system fonts: nothing is fetched from elsewhere
        css="\n".join(path.read_text(encoding="utf-8") for path in STYLES),
        js=(HERE / "page.js").read_text(encoding="utf-8"),
        favicon_path=str(HERE / "favicon.svg"),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=1,  # nothing is uploaded here
    )


class Frame:
    """The page: a header and one panel below it, chosen by the address (``/#report``; page.js)."""

    def __init__(self, gateway: Gateway, config: UiConfig, handbook: bool = False) -> None:
        self.gateway = gateway
        self.config = config
        self.panels: list[Panel] = [Chat(gateway, config, handbook), Report(gateway), Admin(gateway)]

    def blocks(self) -> gr.Blocks:
        """The page."""
        with Page(title=self.config.title, analytics_enabled=False, fill_width=True, fill_height=True) as page:
            self.saved = gr.BrowserState({"lang": ""}, storage_key="docduet", secret="docduet")
            self._header()
            for panel in self.panels:
                with gr.Column(elem_id=f"dd-panel-{panel.key}", elem_classes="dd-panel"):
                    panel.build()
            self._events(page)
        return page

    def _header(self) -> None:
        with gr.Row(elem_id="dd-header"):
            gr.HTML(render.brand_html(self.config.title), elem_id="dd-title", apply_default_css=False)
            self.names = gr.HTML(elem_id="dd-panels", apply_default_css=False)
            for panel in self.panels:
                panel.build_header()
            self.language = gr.Button(Words()("other_language"), elem_id="dd-language", size="sm")
            self.theme = gr.Button("◐", elem_id="dd-theme", size="sm")
            self.account = gr.HTML(
                html_template='<div class="dd-account"></div>',
                js_on_load=(HERE / "account" / "account.js").read_text(encoding="utf-8"),
                apply_default_css=False,
                elem_id="dd-account",
            )

    def _events(self, page: gr.Blocks) -> None:
        chrome = [self.names, self.account, self.language]
        outputs = [*chrome, *(output for panel in self.panels for output in panel.outputs)]
        kept = [component for panel in self.panels for component in panel.kept]
        running = [event for panel in self.panels for event in panel.running]
        page.load(self.open, [self.saved], outputs, queue=False, **QUIET)
        cancel_then([self.language.click], running, self.switch, [self.saved, *kept], [*outputs, self.saved])
        self.theme.click(None, js=_TOGGLE_THEME)

    async def open(self, saved: dict[str, str] | None, request: gr.Request) -> dict[Any, Any]:
        """The page as it is first seen."""
        return await self._page(_language(saved, request), request)

    async def switch(self, request: gr.Request, saved: dict[str, str] | None, *values: Any) -> dict[Any, Any]:
        """The same page in the other language."""
        words = Words("en" if _language(saved, request).lang == "zh" else "zh")
        return {**await self._page(words, request, *values), self.saved: {"lang": words.lang}}

    async def _page(self, words: Words, request: gr.Request, *values: Any) -> dict[Any, Any]:
        gateway, rest = self.gateway.as_user(authorization(request)), list(values)
        user = await me(gateway)
        page: dict[Any, Any] = {
            self.names: _names_html(words, [panel.key for panel in self.panels if _for(user, panel)]),
            self.account: account.account(words, user),
            self.language: words("other_language"),
        }
        for panel in self.panels:
            own = [rest.pop(0) for _ in panel.kept] if values else []
            if _for(user, panel):
                page |= await panel.page(words, gateway, *own)
        return page


def _for(user: Me, panel: Panel) -> bool:
    """Whether a panel is shown to somebody. What it would show is the gateway's to refuse."""
    return panel.role in ("", user.role)


def _names_html(words: Words, keys: list[str]) -> str:
    """Links to the panels; nothing where there is only one."""
    if len(keys) < 2:
        return ""
    links = "".join(f'<a href="#{key}" data-panel="{key}">{escape(words(f"panel.{key}"))}</a>' for key in keys)
    return f'<nav aria-label="{escape(words("panels"))}">{links}</nav>'


def _language(saved: dict[str, str] | None, request: gr.Request) -> Words:
    return Words(choose(request.headers.get("accept-language", ""), (saved or {}).get("lang", "")))


_TOGGLE_THEME = """() => {
  const dark = document.body.classList.toggle("dark");
  localStorage.setItem("docduet-theme", dark ? "dark" : "light");
}"""
