"""HTML -> Markdown: the main content only, without navigation, scripts, images or relative links.

selectolax (Lexbor) finds the content, html-to-markdown writes it. Measured beside trafilatura, markitdown, markdownify
and pandoc on 210 pages of seven documentation sites: benchmarks/html_conversion.py, the table is in benchmarks/LOG.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from html_to_markdown import ConversionOptions
    from selectolax.lexbor import LexborHTMLParser, LexborNode

Resolve = Callable[[str], str]
"""Link target as written -> absolute URL, or "" to keep the text only."""

_CONTENT = (
    "main",
    "[role=main]",
    "article",
    "#main-content",
    "#page-content",
    "#content",
    "#docContent",
    "#main",
    ".body",
)
_NEVER = (
    "script, style, noscript, template, iframe, object, embed, svg, canvas, video, audio, button, input, select, "
    "textarea, dialog, link, meta, [hidden], a.headerlink, a.anchor, a.permalink, a.heading-anchor, .sr-only, "
    ".visually-hidden, .copybtn"
)
_NAVIGATION = (
    "nav, aside:not(.admonition, .footnote-list, .footnote, .topic, [role=note]), footer, header, "
    "[role=navigation], [role=search], [role=banner], "
    "[role=contentinfo], [role=complementary], form, .nav, .navheader, .navfooter, .sphinxsidebar, "
    "div.related, .breadcrumb, .breadcrumbs, .sidebar, .navbar, div.menu, .footer, .edit-page-link, .prev-next-area, "
    ".pagination, .skip-link, .cookie-banner, "
    "#page-header, #global-nav, #sidebar, #footer, #path, #quickview, .top, .toplang, .bottomlang, .up"
)
_CONTENTS_LIST = ".toc, #toc, .contents, .table-of-contents, #table-of-contents, .localtoc"
_MIN_CHARS = 200
"""A page with less text than this is a chapter page whose table of contents is its content."""


def html_to_markdown(html: str, resolve: Resolve = lambda _: "") -> tuple[str, str]:
    """(title of the HTML head or "", Markdown of the main content)."""
    content, title = _main_content(html, drop=f"{_NAVIGATION}, {_CONTENTS_LIST}")
    if len(content.text(strip=True)) < _MIN_CHARS:
        content, title = _main_content(html, drop=_NAVIGATION)
    _clean(content, resolve)
    return title, _write(content.html or "")


def fragment_to_markdown(html: str, resolve: Resolve = lambda _: "") -> str:
    """The same for a piece of HTML that has no navigation around it."""
    body = _parse(html).body
    if body is None:
        return ""
    _clean(body, resolve)
    return _write(body.html or "")


def resolver(page_url: str) -> Resolve:
    """Absolute links stay; relative ones are resolved where the page has a public URL and else become plain text."""

    def resolve(href: str) -> str:
        if urlsplit(href).scheme in ("http", "https", "mailto"):
            return href
        public = page_url.startswith(("http://", "https://")) and not href.startswith("#")
        joined = urljoin(page_url, href) if public else ""
        return joined if joined.startswith(("http://", "https://")) else ""

    def safe(href: str) -> str:
        try:
            return resolve(href.strip())
        except ValueError:  # such as an IPv6 address that never closes
            return ""

    return safe


def _parse(html: str) -> LexborHTMLParser:
    from selectolax.lexbor import LexborHTMLParser

    return LexborHTMLParser(html)


def _main_content(html: str, drop: str) -> tuple[LexborNode, str]:
    """The element that holds the page's own text, and the title in the head."""
    tree = _parse(html)
    title_node = tree.css_first("head > title")
    title = " ".join(title_node.text().split()) if title_node else ""
    for node in tree.css(drop):
        # A page header around the main heading, or a body that carries such a class, is content.
        if node.css_first("h1, main, article, [role=main]") is None and node.tag != "body":
            node.decompose()
    body = tree.body or tree.root
    assert body is not None  # Lexbor makes a body for any input
    _drop_site_name(body)
    whole = len(body.text(strip=True))
    for selector in _CONTENT:
        found = tree.css(selector)
        # Several articles are a listing; a main element that holds little of the text is not the main one.
        if len(found) == 1 and (chars := len(found[0].text(strip=True))) * 2 >= min(whole, 2 * _MIN_CHARS):
            heading_outside = found[0].css_first("h1") is None and body.css_first("h1") is not None
            return (body if heading_outside and chars >= 0.8 * whole else found[0]), title
    return body, title


def _drop_site_name(body: LexborNode) -> None:
    """A first h1 that is nothing but a link to another page, above one that is not, names the site, not the page."""
    first_two = body.css("h1")[:2]
    if [_is_link(heading) for heading in first_two] == [True, False]:
        first_two[0].decompose()


def _is_link(heading: LexborNode) -> bool:
    link = heading.css_first("a[href]:not([href^='#'])")
    return link is not None and link.text(strip=True) == heading.text(strip=True)


def _clean(content: LexborNode, resolve: Resolve) -> None:
    """Drop what is never content; images become their alt text; links get a safe target or lose it."""
    for node in content.css(_NEVER):
        node.decompose()
    for image in content.css("img"):
        alt, source = image.attributes.get("alt") or "", image.attributes.get("src")
        image.replace_with("" if alt == source else " ".join(alt.split()))
    for block in content.css("[class*=highlight-] pre, [class*=language-] pre, pre[class*=language-], pre[lang]"):
        _name_language(block)
    for block in content.css("pre pre"):  # gi-docgen: a fence within a fence
        block.unwrap()
    for summary in content.css("summary"):
        if summary.css_first("h1, h2, h3, h4, h5, h6, p, pre"):  # the same: a whole page in it, which would be bold
            summary.unwrap()
    for signature in content.css("dt.sig"):  # Sphinx: emphasis on every argument would tear f(*, x) apart
        signature.inner_html = f"<code>{escape(' '.join(signature.text().split()))}</code>"
    for label in content.css(".admonition-title"):
        label.inner_html = f"<strong>{escape(' '.join(label.text().split()))}</strong>"
    for link in content.css("a"):
        target = resolve(link.attributes.get("href") or "")
        if target and link.text(strip=True):
            link.attrs["href"] = target
            link.attrs["title"] = ""
        else:
            link.unwrap()


def _name_language(block: LexborNode) -> None:
    """Sphinx and others name the language on a wrapper of <pre>; the writer looks for it on <pre>."""
    parent: LexborNode | None = block
    while parent is not None and parent.tag in ("pre", "div"):
        found = re.search(r"\b(?:highlight-|language-|lang=)([\w+#]+)", _class_and_lang(parent))
        if found:
            name = {"python3": "python", "default": "", "none": "", "text": "", "notranslate": ""}.get(
                found[1], found[1]
            )
            if name:
                (block.css_first("code") or block).attrs["class"] = f"language-{name}"
            return
        parent = parent.parent


def _class_and_lang(node: LexborNode) -> str:
    return f"{node.attributes.get('class') or ''} lang={node.attributes.get('lang') or ''}"


@cache
def _options() -> ConversionOptions:
    from html_to_markdown import ConversionOptions, PreprocessingOptions

    return ConversionOptions(
        bullets="-",
        autolinks=False,
        compact_tables=True,
        extract_metadata=False,
        expand_abbreviations=False,
        highlight_style="none",
        skip_images=True,
        preprocessing=PreprocessingOptions(enabled=False, remove_navigation=False, remove_forms=False),
    )


def _write(html: str) -> str:
    from html_to_markdown import convert

    return (convert(_one_line_each(html), _options()).content or "").strip()


def _one_line_each(html: str) -> str:
    """Newlines outside <pre> mean a space; left in, a line that begins with "1." or "-" would become a list."""
    parts = re.split(r"(<pre\b.*?</pre>)", html, flags=re.DOTALL)
    parts[::2] = [part.replace("\n", " ") for part in parts[::2]]
    return "".join(parts)
