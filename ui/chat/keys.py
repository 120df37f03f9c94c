"""The keys of the chat and the window that lists them; keys.js makes them work. Pure."""

from __future__ import annotations

from html import escape

from ui.i18n import Words

KEYS = (
    *(("/", "box"), ("Enter", "send"), ("Shift+Enter", "line"), ("Esc", "stop")),
    *(("n", "new"), ("c", "copy"), ("r", "again"), ("e", "edit"), ("?", "help")),
)


def hint_html(words: Words) -> str:
    """What stands under the question box: how to send, and a button that opens the list of keys."""
    title = escape(words("keys"))
    named = f'title="{title}" aria-label="{title}"'
    button = f'<button type="button" class="dd-help-open" data-help aria-haspopup="dialog" {named}>?</button>'
    return f"<span>{escape(words('hint'))}</span>{button}{_window(words)}"


def _window(words: Words) -> str:
    rows = "".join(
        f"<div><dt>{'+'.join(f'<kbd>{escape(key)}</kbd>' for key in keys.split('+'))}</dt>"
        f"<dd>{escape(words(f'key.{name}'))}</dd></div>"
        for keys, name in KEYS
    )
    on = f'<label><input type="checkbox" data-keys checked> {escape(words("keys_on"))}</label>'
    close = f'<button type="button" data-close>{escape(words("close"))}</button>'
    title = f'<h2 id="dd-help-title">{escape(words("keys"))}</h2>'
    return f'<dialog id="dd-help" aria-labelledby="dd-help-title">{title}<dl>{rows}</dl><div>{on}{close}</div></dialog>'
