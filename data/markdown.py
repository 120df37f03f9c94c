"""Markdown -> clean Markdown: no front matter, images, raw HTML or relative links; the rest stays as written.

markdown-it finds the blocks that hold such things; only those go through HTML and back. Code is never touched.
A `<placeholder>` that is no HTML tag is text and stays: whoever renders a page has to render with HTML switched off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from data.html import Resolve, fragment_to_markdown

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_HTML_TAGS = frozenset(
    """
    a abbr article aside audio b big blockquote body br button caption center cite code col colgroup dd del details dfn
    div dl dt em embed figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins
    kbd label li link main mark meta nav noscript object ol p picture pre q samp script section select small source
    span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead tr tt u ul var video
    wbr
    """.split()  # noqa: SIM905
)
_TAG = re.compile(r"<(?:/?([a-zA-Z][a-zA-Z0-9-]*)(?=[\s/>])|(!--|[!?]))")


def clean_markdown(text: str, resolve: Resolve = lambda _: "") -> tuple[str, str]:
    """(title of the front matter or "", clean Markdown). ``resolve`` decides about link targets, see data.html."""
    title, text = split_front_matter(text)
    lines = text.split("\n")
    parser = _parser()
    env: dict[str, Any] = {}
    tokens = parser.parse(text, env)
    kept: list[str] = []
    done = 0
    for start, end, block in _runs(tokens):
        if any(_unclean(token, resolve) for token in block):
            html = parser.renderer.render(list(map(_placeholders_as_text, block)), parser.options, env)
            clean = fragment_to_markdown(html, resolve)
            blank_follows = end >= len(lines) or not lines[end].strip()
            kept += [*lines[done:start], *([clean] if clean else []), *([] if blank_follows else [""])]
            done = end
    kept += lines[done:]
    return title, re.sub(r"\n{4,}", "\n\n\n", "\n".join(kept)).strip()


def headings(text: str) -> Iterator[tuple[int, int, int, str]]:
    """(level, first line, line after, plain text) of every heading outside lists and quotes, lines counted from 0."""
    for token, inline in pairwise(_block_parser().parse(text)):
        if token.type == "heading_open" and token.level == 0 and token.map:
            children = _parser().parseInline(inline.content)[0].children or ()
            plain = "".join(child.content for child in children if child.type in ("text", "code_inline"))
            yield int(token.tag[1]), token.map[0], token.map[1], " ".join(plain.split())


def split_front_matter(text: str) -> tuple[str, str]:
    """(its title, the text after it); ("", text) where there is none."""
    found = re.match(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", text, re.DOTALL)
    if not found:
        return "", text
    import yaml

    try:
        fields = yaml.safe_load(found[1])
    except yaml.YAMLError:
        fields = None
    if not isinstance(fields, dict):  # a thematic break, some text, another one
        return "", text
    return str(fields.get("title") or "").strip(), text[found.end() :]


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # data.html decides
    return parser


@cache
def _block_parser() -> MarkdownIt:
    """Finds blocks without looking into their text: half the time."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("table").disable("inline")


def _runs(tokens: list[Token]) -> Iterator[tuple[int, int, list[Token]]]:
    """(first line, line after, tokens) of each top-level block; an HTML table cut by blank lines is one block."""
    run: list[Token] = []
    start = end = 0
    for token in tokens:
        if token.level == 0 and token.nesting >= 0 and token.map:
            if not run:
                start = token.map[0]
            end = token.map[1]
        run.append(token)
        if token.level == 0 and token.nesting <= 0 and not _table_is_open(run):
            yield start, end, run
            run = []
    if run:
        yield start, end, run


def _table_is_open(run: list[Token]) -> bool:
    html = "".join(token.content for token in run if token.type == "html_block").lower()
    return html.count("<table") > html.count("</table")


def _unclean(token: Token, resolve: Resolve) -> bool:
    """Whether a token holds raw HTML, an image, or a link that must not stay as it is."""
    if token.type in ("html_block", "html_inline"):
        return _is_html(token.content)
    if token.type == "link_open":
        href = str(token.attrGet("href") or "")
        return resolve(href) != href
    return token.type == "image" or any(_unclean(child, resolve) for child in token.children or ())


def _is_html(markup: str) -> bool:
    """Real HTML, a comment or a declaration; not `<your-key>`."""
    return any(special or name.lower() in _HTML_TAGS for name, special in _TAG.findall(markup))


def _placeholders_as_text(token: Token) -> Token:
    """The token, with `<your-key>` turned from HTML into text."""
    if token.type in ("html_block", "html_inline") and not _is_html(token.content):
        return token.copy(type="text")
    if token.children:
        return token.copy(children=[_placeholders_as_text(child) for child in token.children])
    return token
