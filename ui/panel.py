"""What a part of the page is: chat, report, administration. ui/app.py puts the panels into one frame.

No panel uses gr.State: it keeps a connection open for every tab, and a browser allows six. What a panel must remember
is in the value of a component that the browser sends back (``kept``); it is untrusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gradio as gr

from ui.client import Gateway
from ui.i18n import Words

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Of every event: no progress of Gradio's own, no entry in its API page."""


class Panel(Protocol):
    """A part of the page with its own components and events.

    ``key``: in the page's address (``/#report``), in element ids (``dd-panel-report``) and words (``panel.report``).
    ``role``: "" for everybody, "admin" where only administrators see it.
    """

    key: str
    role: str

    def build_header(self) -> None:
        """Components in the page's header, beside the names of the panels."""

    def build(self) -> None:
        """The components, inside the panel's column, and their events."""

    @property
    def outputs(self) -> list[Any]:
        """The components that ``page`` fills."""

    @property
    def kept(self) -> list[Any]:
        """The components whose values ``page`` gets back when only the language changes."""

    @property
    def running(self) -> list[Any]:
        """Events to cancel before the page is drawn anew."""

    async def page(self, words: Words, gateway: Gateway, *kept: Any) -> dict[Any, Any]:
        """What each of ``outputs`` shows, in this language. ``kept``: nothing when the page is first seen."""


def authorization(request: gr.Request | None) -> str:
    """What the page's own request carried: the key of whoever signed in, or what a proxy in front has put there."""
    return str(request.headers.get("authorization", "")) if request else ""


def cancel_then(
    triggers: Sequence[Any], running: Sequence[Any], then: Callable[..., Any], inputs: Sequence[Any], outputs: Any
) -> None:
    """Cancel what runs, then say what the page becomes: in one step, a late piece of an answer can overwrite it."""
    for trigger in triggers:
        trigger(None, cancels=list(running), queue=False, **QUIET).then(then, inputs, outputs, queue=False, **QUIET)
