"""A stored page as a safe HTML document, with a quote highlighted: where citations of folder sources lead.

Pages are untrusted: raw HTML is not rendered, images are not loaded, what remains is sanitised, and the response
carries a policy that allows no script and no request (see ``POLICY``).
"""

from __future__ import annotations

import re
from html import escape

from data.types import Page

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

_TEMPLATE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --mark: #fff3a3; --line: #d9dce1; --soft: #f5f6f8; --dim: #667085; }}
@media (prefers-color-scheme: dark) {{ :root {{ --mark: #6b5a00; --line: #3a3f47; --soft: #23272e; --dim: #9aa4b2; }} }}
body {{ font: 16px/1.65 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", sans-serif;
  max-width: 46rem; margin: 0 auto; padding: 2rem 1.25rem 6rem; overflow-wrap: anywhere; }}
header {{ border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; padding-bottom: .75rem; }}
header h1 {{ margin: 0 0 .25rem; line-height: 1.25; }}
header p {{ margin: 0; color: var(--dim); font-size: .875rem; }}
mark {{ background: var(--mark); color: inherit; border-radius: 3px; padding: .05em 0; scroll-margin-top: 30vh; }}
pre, code {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .9em; }}
code {{ background: var(--soft); border-radius: 4px; padding: .1em .3em; }}
pre {{ background: var(--soft); border-radius: 8px; padding: .9rem 1rem; overflow-x: auto; }}
pre code {{ background: none; padding: 0; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ border: 1px solid var(--line); padding: .4rem .7rem; text-align: left; vertical-align: top; }}
th {{ background: var(--soft); }}
blockquote {{ margin-left: 0; padding-left: 1rem; border-left: 3px solid var(--line); color: var(--dim); }}
</style>
</head>
<body>
<header><h1>{title}</h1><p>{about}</p></header>
<main>{body}</main>
</body>
</html>
"""


_GONE = {
    "en": Page(
        "",
        "This page is no longer in the docs",
        "It was removed or renamed after it was cited. Ask your question again: the answer comes from today's docs.",
    ),
    "zh": Page("", "文档中已没有这一页", "它在被引用之后被删除或改名了。请重新提问，答案将来自当前的文档。", lang="zh"),
}


def gone_html(accept_language: str) -> str:
    """What is shown in place of a page that is not there any more."""
    return page_html(_GONE["zh" if accept_language.lower().startswith("zh") else "en"])


def page_html(page: Page, quote: str = "") -> str:
    """The whole document. ``quote``: Markdown text of the page to highlight; ignored when it is not there."""
    body = _render(page.body)
    if quote:
        body = highlight(body, _plain(_render(quote)))
    about = " · ".join([page.url, *page.labels.values()])
    return _TEMPLATE.format(lang=escape(page.lang), title=escape(page.title), about=escape(about), body=body)


def highlight(body: str, quote: str) -> str:
    """Wrap the text of ``quote`` in <mark> across elements; the first mark has the id ``quote``.

    Only letters and digits are compared, so that Markdown, punctuation and white space make no difference. When the
    quote is cut off or the page has changed, as much of its beginning as still stands there is marked.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    nodes = list(soup.find_all(string=True))
    letters = [(i, j) for i, node in enumerate(nodes) for j, char in enumerate(node) if char.isalnum()]
    haystack = "".join(nodes[i][j].lower() for i, j in letters)
    needle = "".join(char.lower() for char in quote if char.isalnum())
    found, length = _find(haystack, needle)
    if found < 0:
        return body
    (first, first_char), (last, last_char) = letters[found], letters[found + length - 1]
    for i in range(first, last + 1):
        start = first_char if i == first else 0
        end = last_char + 1 if i == last else len(nodes[i])
        if nodes[i][start:end].strip():
            _wrap(soup, nodes[i], start, end, first=i == first)
    return str(soup)


def _find(haystack: str, needle: str) -> tuple[int, int]:
    """Where the longest of the needle's beginnings (down to a fifth, at least 8 letters) stands, and its length."""
    length = len(needle)
    while length >= max(8, len(needle) // 5) or (length and length == len(needle)):
        at = haystack.find(needle[:length])
        if at >= 0:
            return at, length
        length = int(length * 0.8)
    return -1, 0


def _wrap(soup: object, node: object, start: int, end: int, first: bool) -> None:
    """Replace the text node by before, <mark>, after."""
    from bs4 import BeautifulSoup, NavigableString

    assert isinstance(soup, BeautifulSoup)
    assert isinstance(node, NavigableString)
    text = str(node)
    mark = soup.new_tag("mark")
    mark.string = text[start:end]
    if first:
        mark["id"] = "quote"
    pieces = [piece for piece in (text[:start], mark, text[end:]) if piece]
    node.replace_with(*(NavigableString(piece) if isinstance(piece, str) else piece for piece in pieces))


def _render(markdown: str) -> str:
    """Markdown to sanitised HTML: no raw HTML, no images, links only to the web."""
    import nh3
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    html = parser.render(re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", markdown))
    return nh3.clean(html, url_schemes={"http", "https", "mailto"}, link_rel="noopener noreferrer nofollow")


def _plain(html: str) -> str:
    from bs4 import BeautifulSoup

    return BeautifulSoup(html, "html.parser").get_text(" ")
