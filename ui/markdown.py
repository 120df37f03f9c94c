"""Markdown from models and documents as safe HTML.

Nothing here trusts its input: raw HTML is shown as text, images become plain words (loading one would tell its server
who reads what), links lead to http(s) or to this gateway's pages, and the result goes through a sanitiser as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ui.flags import Flag, carry, put, uncarried
from ui.text import clean, pieces

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

LONGEST = 200_000  # characters; a longer answer or quote is cut, so that no page can hang a browser
_MARKER = re.compile(r"\[(\d{1,3})\]")
_OPEN, _CLOSE = "\ue000", "\ue001"  # private-use characters that carry marks through the Markdown parser
_BEGIN, _END = "\u205f", "\u1680"  # the same around sentences: white space, so that a sentence may be **bold.**

_TAGS = {
    *(
        "p",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "em",
        "strong",
        "s",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
    ),
    *("li", "table", "thead", "tbody", "tr", "th", "td", "a", "div", "span", "button", "mark"),
}
_ATTRIBUTES = {
    "a": {"href", "class", "target", "data-source", "aria-label", "title"},
    "button": {"class", "type", "data-copy"},
    "code": {"class"},
    "div": {"class"},
    "span": {"class", "title", "role", "aria-label"},
    "ol": {"start"},
}


def answer_html(
    text: str,
    key: str,
    numbers: Collection[int],
    copy_label: str = "Copy",
    source_label: str = "Source",
    flags: Sequence[Flag] = (),
    marked: Collection[str] = (),
) -> str:
    """An answer's HTML. ``numbers``: sources that exist; their markers link to ``#src-KEY-N``. ``flags``: marks behind
    sentences; ``marked``: sentences (as ``sentences`` cuts them) to put in <mark>."""
    env = {"key": key, "numbers": set(numbers), "copy": copy_label, "source": source_label, "marked": set(marked)}
    html = _sanitise(_parser().render(_unmarked(_bounded(carry(text[: LONGEST + 1], flags))), env))
    if marked:
        html = re.sub("(<[^>]*>)", lambda tag: _unmarked(tag[0]), html)
        html = html.replace(_BEGIN, "<mark>").replace(_END, "</mark>")
    return _sanitise(put(html, flags)) if flags or marked else html


def sentences(text: str) -> list[str]:
    """The sentences of an answer, with their markup: of paragraphs, items, headings, cells; and its lines of code."""
    tokens = _parser().parse(_unmarked(_bounded(text)), {})
    return [sentence for token in tokens for start, end in _spans(token) if (sentence := token.content[start:end])]


def quote_html(text: str, marks: Sequence[tuple[int, int]]) -> str:
    """A passage's HTML, the characters in ``marks`` in <mark>; its links are words, not links."""
    bare = text[:LONGEST].replace(_OPEN, " ").replace(_CLOSE, " ")
    carried = "".join(f"{_OPEN}{piece}{_CLOSE}" if marked else piece for piece, marked in pieces(bare, marks))
    html = _sanitise(_parser().render(carried, {"links": False}))
    html = re.sub("(<[^>]*>)", lambda tag: tag[0].replace(_OPEN, "").replace(_CLOSE, ""), html)
    return _sanitise(html.replace(_OPEN, "<mark>").replace(_CLOSE, "</mark>"))


def safe_href(href: str) -> str:
    """``href`` when it is http(s) or one of this gateway's pages, else ""."""
    if re.search(r"[\s\\\x00-\x20\x7f]", href):
        return ""
    if re.match(r"/pages/[0-9A-Za-z_-]+(\?[^#]*)?(#.*)?$", href):
        return href
    try:
        parts = urlsplit(href)
        return href if parts.scheme in ("http", "https") and parts.hostname else ""
    except ValueError:
        return ""


def _bounded(text: str) -> str:
    return clean(text if len(text) <= LONGEST else text[:LONGEST] + "\n\n…")


@cache
def _parser() -> MarkdownIt:
    """CommonMark with tables, without raw HTML, and with citation markers."""
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML

    parser = MarkdownIt("commonmark", {"html": False, "breaks": False}).enable(["table", "strikethrough"])
    parser.disable(["html_block", "html_inline", "reference"])  # "[1]: http://..." must not redefine a marker
    assert isinstance(parser.renderer, RendererHTML)
    parser.inline.ruler.before("link", "citation", _citation)
    parser.core.ruler.before("inline", "marked", _mark_sentences)
    for name, rule in {
        "citation": _render_citation,
        "image": _render_image,
        "link_open": _render_link_open,
        "link_close": _render_link_close,
        "code_inline": _render_code_inline,
        "fence": _render_code,
        "code_block": _render_code,
        "table_open": lambda *_: '<div class="dd-table"><table>',
        "table_close": lambda *_: "</table></div>",
    }.items():
        parser.renderer.rules[name] = rule  # type: ignore[assignment]
    return parser


_STOP = re.compile(
    r"""(?:(?<!e\.g)(?<!i\.e)[.!?…]+[*_`"')\]]*(?:\s*\[\d{1,3}\])*(?=\s|$)|[。！？；]+[*_`"'”’」』）)]*(?:\s*\[\d{1,3}\])*)\s*"""
)
_PROSE, _CODE = ("inline",), ("fence", "code_block")


def _spans(token: Token) -> list[tuple[int, int]]:
    """Where the sentences of a block, or the lines of a block of code, stand in its content."""
    if token.type not in (*_PROSE, *_CODE):
        return []
    ends = [stop.end() for stop in (re.compile(r"\n") if token.type in _CODE else _STOP).finditer(token.content)]
    bounds = [0, *ends, len(token.content)]
    cut = [(start, start + len(token.content[start:end].rstrip())) for start, end in pairwise(bounds)]
    return [(start, end) for start, end in cut if start < end]


def _mark_sentences(state: StateCore) -> None:
    """Core rule: the sentences in ``marked``, between characters that become <mark>."""
    marked = state.env.get("marked", ())
    for token in state.tokens if marked else ():
        for start, end in reversed(_spans(token)):
            if uncarried(sentence := token.content[start:end]) in marked:
                token.content = f"{token.content[:start]}{_BEGIN}{sentence}{_END}{token.content[end:]}"


def _unmarked(text: str) -> str:
    return text.replace(_BEGIN, " ").replace(_END, " ")


def _citation(state: StateInline, silent: bool) -> bool:
    """Inline rule: ``[1]`` is a citation where source 1 exists."""
    match = _MARKER.match(state.src, state.pos)
    if not match or int(match[1]) not in state.env.get("numbers", ()):
        return False
    if not silent:
        token = state.push("citation", "a", 0)
        token.content = str(int(match[1]))
    state.pos = match.end()
    return True


def _render_citation(tokens: Sequence[Token], at: int, _: Any, env: dict[str, Any]) -> str:
    number = tokens[at].content
    label = escape(f"{env['source']} {number}")
    target = f"#src-{escape(env['key'])}-{number}"
    return f'<a class="dd-cite" href="{target}" data-source="{number}" aria-label="{label}">[{number}]</a>'


def _render_image(tokens: Sequence[Token], at: int, _: Any, __: dict[str, Any]) -> str:
    """What the picture shows, in words."""
    return f'<span class="dd-image">{escape(tokens[at].content)}</span>' if tokens[at].content else ""


def _render_link_open(tokens: Sequence[Token], at: int, _: Any, env: dict[str, Any]) -> str:
    href = safe_href(str(tokens[at].attrGet("href") or ""))
    linked = bool(href) and env.get("links", True)
    return f'<a href="{escape(href)}" target="_blank">' if linked else '<span class="dd-unlinked">'


def _render_link_close(tokens: Sequence[Token], at: int, _: Any, env: dict[str, Any]) -> str:
    opening = next(t for t in reversed(tokens[:at]) if t.type == "link_open" and t.level == tokens[at].level)
    linked = bool(safe_href(str(opening.attrGet("href") or ""))) and env.get("links", True)
    return "</a>" if linked else "</span>"


_OPTION = re.compile(r"(?=\S*-)\S{1,24}")


def _render_code_inline(tokens: Sequence[Token], at: int, _: Any, __: dict[str, Any]) -> str:
    """Browsers break lines after a hyphen: an option such as ``--port`` stays whole, what is long may break."""
    whole = ' class="dd-whole"' if _OPTION.fullmatch(tokens[at].content) else ""
    return f"<code{whole}>{escape(tokens[at].content)}</code>"


def _render_code(tokens: Sequence[Token], at: int, _: Any, env: dict[str, Any]) -> str:
    code = f"<pre><code>{escape(tokens[at].content)}</code></pre>"
    if "copy" not in env:
        return code
    language = re.sub(r"[^\w+#.-]", "", (tokens[at].info or "").split(" ")[0])[:20]
    button = f'<button type="button" class="dd-copy-code" data-copy="code">{escape(env["copy"])}</button>'
    return f'<div class="dd-code"><div class="dd-code-head"><span>{escape(language)}</span>{button}</div>{code}</div>'


def _sanitise(html: str) -> str:
    import nh3

    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Links lead to a source card, to http(s) or to this gateway's pages; everything else as it is."""
    if name != "href" or re.fullmatch(r"#src-[\w-]+", value):
        return value
    return safe_href(value) or None
