"""What stands around the report: choice of time and downloads. Pure; the browser's part is report.js."""

from __future__ import annotations

from html import escape

from ui.i18n import Words

SINCE = ("", "24h", "7d", "30d", "90d")
DOWNLOADS = {
    "html": ("docduet-report.html", "text/html"),
    "png": ("docduet-report.png", "image/png"),
    "csv": ("docduet-report.csv", "text/csv"),
    "json": ("docduet-report.json", "application/json"),
}


def bar_html(words: Words, since: str) -> str:
    """The bar above the report."""
    options = "".join(
        f'<option value="{value}"{" selected" if value == since else ""}>'
        f"{escape(words(f'report.since.{value}'))}</option>"
        for value in SINCE
    )
    buttons = "".join(
        f'<button type="button" data-format="{name}">{escape(words(f"report.{name}"))}</button>' for name in DOWNLOADS
    )
    return (
        f'<div class="dd-report-bar" role="group" aria-label="{escape(words("report.bar"), quote=True)}">'
        f"<label>{escape(words('report.since'))} <select data-since>{options}</select></label>"
        f'<span class="dd-report-downloads"><span>{escape(words("report.download"))}</span>{buttons}</span></div>'
    )


def waiting_html(words: Words) -> str:
    """While it is counted."""
    return f'<p class="dd-report-wait" role="status">{escape(words("report.waiting"))}</p>'


def failed_html(words: Words, why: str) -> str:
    """In place of a report."""
    return (
        f'<div class="dd-error" role="alert"><strong>{escape(words("report.failed"))}</strong><p>{escape(why)}</p>'
        f'<button type="button" data-again>{escape(words("report.again"))}</button></div>'
    )
