"""The account menu as HTML, and the note that the sign-in has ended. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

from ui.account.client import Me
from ui.i18n import Words


def account(words: Words, me: Me) -> dict[str, Any]:
    """What account.js gets: the menu, whose page it is, and what to say when they are signed in no longer."""
    signed_in = bool(me.sign_in)
    return {
        "html": menu_html(words, me) if signed_in else "",
        "user": me.user if signed_in else "",
        "ended": ended_html(words),
    }


def menu_html(words: Words, me: Me) -> str:
    """A button with the name that opens to who they are and how to sign out."""
    name = me.name or me.user
    role = words.first(f"role.{me.role}", "role")
    label = escape(words("account", name=name))
    return (
        f'<details class="dd-account-menu"><summary aria-label="{label}" title="{label}">'
        f'<span class="dd-initial" aria-hidden="true">{escape(_initial(name))}</span>'
        f'<span class="dd-name" aria-hidden="true">{escape(name)}</span></summary>'
        '<div class="dd-account-menu-box">'
        f'<p class="dd-who"><strong><bdi>{escape(name)}</bdi></strong><span>{escape(role)}</span></p>'
        f'<form method="post" action="/sign-out"><button type="submit">{escape(words("sign_out"))}</button></form>'
        "</div></details>"
    )


def ended_html(words: Words) -> str:
    """The sign-in has ended: in another tab it can be made good, so that nothing here is lost."""
    return (
        f"<p><strong>{escape(words('ended'))}</strong> {escape(words('ended_more'))}</p>"
        f'<a href="/sign-in?next=/" target="_blank" rel="noopener">{escape(words("sign_in_again"))}</a>'
    )


def _initial(name: str) -> str:
    return next((char for char in name if char.isalnum()), "?").upper()
