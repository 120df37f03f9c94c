"""Bytes of each kind -> clean Markdown."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import docx
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from data.convert import convert
from data.errors import UnreadableDocument
from data.html import html_to_markdown, resolver

HTML = """<!DOCTYPE html><html><head><title>Install — Widget docs</title><style>p{}</style></head><body>
<header><a href="/">Widget</a></header><nav><ul><li><a href="/a">Elsewhere one</a></li></ul></nav>
<div class="sidebar"><a href="/b">Elsewhere two</a></div>
<main><h1>Install <a class="headerlink" href="#install">¶</a></h1>
<p>Use <code>pip</code> &amp; <b>wait</b>. See <a href="../api/x.html#y" title="t">the API</a>,
<a href="https://ok.example/z">site</a>,
<a href="javascript:alert(1)">here</a>. Put &lt;your-key&gt; there.
<img src="https://evil.example/p.png?d=1" alt="A diagram"></p>
<h2>Options</h2><table><tr><th>Name</th><th>Default</th></tr><tr><td><code>--port</code></td><td>7860</td></tr></table>
<div class="highlight-python notranslate"><div class="highlight"><pre><span>def</span> f(x):

    return  x &lt; 1</pre></div></div>
<ol><li>One</li><li>Two<ul><li>deep</li></ul></li></ol><script>alert("never")</script>
</main><footer>Copyright nobody</footer></body></html>"""

MARKDOWN = """---
title: From front matter
weight: 3
---

Intro with ![logo](https://evil.example/l.png) and <b>bold</b>, [rel](../x.md), [abs](https://ok.example/), <your-key>.

## Untouched *as* written

* star list
* `<br>` in code

```bash
run <x>   # ![no](touch.png)  <details>

  indented
```

<details><summary>More</summary>

Inside **it**.

</details>

<table>
<tr><th>A</th><th>B</th></tr>

<tr><td>1</td><td>2<br>3</td></tr>
</table>

<script>alert("never")</script> <!-- hidden -->

[ref][r] [![badge](https://evil.example/b.svg)](https://ci.example)

[r]: https://ref.example/x
"""


def md(text: str, path: str = "a.md", url: str = "") -> str:
    return convert(text.encode(), path, url).body


def test_html_keeps_content_and_loses_the_frame() -> None:
    page = convert(HTML.encode(), "install.html", "https://docs.example/guide/install.html")
    assert (page.title, page.lang, page.kind) == ("Install", "en", "html")
    assert "| Name | Default |" in page.body
    assert "| `--port` | 7860 |" in page.body
    assert "## Options" in page.body
    assert "```python\ndef f(x):\n\n    return  x < 1\n```" in page.body
    assert "[the API](https://docs.example/api/x.html#y)" in page.body
    assert "Put <your-key> there" in page.body
    assert "A diagram" in page.body
    for gone in ("Elsewhere", "Copyright", "never", "evil.example", "javascript", "¶", "# Install"):
        assert gone not in page.body


def test_relative_links_become_text_without_a_public_url() -> None:
    body = convert(HTML.encode(), "install.html").body
    assert "See the API, [site](https://ok.example/z)" in body


def test_a_chapter_page_keeps_its_table_of_contents() -> None:
    toc = '<div class="toc"><a href="a.html">First steps</a></div>'
    assert "First steps" in html_to_markdown(f"<body><h1>Chapter</h1>{toc}</body>")[1]
    assert "First steps" not in html_to_markdown(f"<body><h1>Chapter</h1>{toc}<p>{'Long text. ' * 40}</p></body>")[1]


def test_signatures_and_admonitions_of_sphinx() -> None:
    signature = (
        '<dl><dt class="sig"><b>f(</b><em>src</em>, <em>*</em>, <em>x=1</em>)<a class="headerlink">¶</a></dt></dl>'
    )
    note = '<div class="admonition note"><p class="admonition-title">Note</p><p>Mind &lt;it&gt;.</p></div>'
    body = html_to_markdown(f"<body>{signature}{note}</body>")[1]
    assert "`f(src, *, x=1)`" in body
    assert "**Note**" in body


def test_a_main_heading_beside_the_content_is_the_title() -> None:
    header = "<div id=header><h1>git-commit(1)</h1><h2>NAME</h2><p>git-commit - Record changes</p></div>"
    content = f"<div id=content><h2>SYNOPSIS</h2><p>{'Words. ' * 100}</p></div>"
    page = convert(f"<html><body>{header}{content}</body></html>".encode(), "git-commit.html")
    assert page.title == "git-commit(1)"
    assert "Record changes" in page.body
    assert "## SYNOPSIS" in page.body


def test_a_listing_of_articles_keeps_them_all() -> None:
    articles = "".join(f"<article><h2>News {n}</h2><p>{'words ' * 30}</p></article>" for n in range(3))
    assert all(f"News {n}" in html_to_markdown(f"<body>{articles}</body>")[1] for n in range(3))
    linked = "".join(f"<h1><a href='{n}.html'>News {n}</a></h1><p>{'words ' * 30}</p>" for n in range(3))
    assert all(f"News {n}" in html_to_markdown(f"<body>{linked}</body>")[1] for n in range(3))


def test_the_site_name_above_the_main_heading_is_not_the_title() -> None:
    name = '<div id="hd"><h1><a href="../index.html">Widget 3.2 documentation</a></h1></div>'
    own = f"<h1>Caching</h1><p>{'Words. ' * 100}</p>"
    page = convert(f"<body>{name}{own}</body>".encode(), "cache.html")
    assert page.title == "Caching"
    assert "Widget" not in page.body
    alone = convert(f"<body>{name}<p>{'Words. ' * 100}</p></body>".encode(), "index.html")
    assert alone.title == "Widget 3.2 documentation"
    anchor = convert(f'<body><h1><a href="#x">Part one</a></h1>{own}</body>'.encode(), "a.html")
    assert anchor.title == "Part one"


@pytest.mark.parametrize("frame", ['<div class="nav">', '<div class="menu mainmenu">', '<div id="global-nav">'])
def test_menus_named_by_class_or_id_are_navigation(frame: str) -> None:
    body = html_to_markdown(f'<body>{frame}<a href="b.html">Elsewhere</a></div><p>{"Words. " * 100}</p></body>')[1]
    assert "Elsewhere" not in body


def test_footnotes_and_tables_of_related_things_are_content() -> None:
    note = '<aside class="footnote-list"><aside class="footnote" role="note"><p>A footnote.</p></aside></aside>'
    rows = "<tr><th>Modules</th><th>Directives</th></tr><tr><td>core</td><td>Listen</td></tr>"
    table = f'<table class="related">{rows}</table>'
    body = html_to_markdown(f"<body><main><h1>T</h1><p>{'Words. ' * 100}</p>{table}{note}</main></body>")[1]
    assert "A footnote." in body
    assert "| core | Listen |" in body


def test_a_line_break_in_the_source_starts_no_list() -> None:
    body = html_to_markdown("<body><p>at most\n1.  That is\n- all</p><pre>a\n\n  1. b</pre></body>")[1]
    assert "at most 1. That is - all" in body
    assert "```\na\n\n  1. b\n```" in body


def test_a_page_folded_into_a_summary_is_not_bold_and_nested_pre_is_one_block() -> None:
    code = "<pre><code><div class=highlight><pre>int x;</pre></div></code></pre>"
    body = html_to_markdown(f"<body><details><summary><h4>Description</h4>{code}</summary></details></body>")[1]
    assert body == "#### Description\n\n```\nint x;\n```"


@pytest.mark.parametrize(
    "href", ["javascript:x", "data:text/html,x", "//[::1", "http://[bad", "file:///etc/passwd", ""]
)
def test_dangerous_and_broken_links_lose_their_target(href: str) -> None:
    assert resolver("guide/a.md")(href) == ""


def test_markdown_is_cleaned_where_it_must_be() -> None:
    page = convert(MARKDOWN.encode(), "a.md")
    body = page.body
    assert page.title == "From front matter"
    assert "Intro with logo and **bold**, rel, [abs](https://ok.example/), <your-key>." in body
    assert "More" in body
    assert "Inside **it**." in body
    assert "| A | B |" in body
    assert "| 1 | 2 3 |" in body
    assert "[ref](https://ref.example/x)" in body
    for gone in ("evil.example", "<summary>", "<table>", "never", "hidden", "weight"):
        assert gone not in body


def test_markdown_is_left_alone_where_it_can_be() -> None:
    start = MARKDOWN.index("## Untouched")
    end = MARKDOWN.index("<details><summary>")
    assert MARKDOWN[start:end].strip() in convert(MARKDOWN.encode(), "a.md").body
    clean = "A `code` and a | pipe.\n\n* x\n\n\n1) y\n\nt\n\n    indented code <b>\n\n| a | b |\n|:-:|---|\n| 1 | 2 |"
    assert md(clean) == clean


@pytest.mark.parametrize(
    ("text", "title", "body"),
    [
        ("# The *title* `x`\n\nBody.", "The title x", "Body."),
        ("Title\n=====\n\nBody.", "Title", "Body."),
        ("Before.\n\n# Title\n\nBody.", "Title", "Before.\n\n\nBody."),
        ("Body only.", "Getting started", "Body only."),
        ("```\n# no heading\n```", "Getting started", "```\n# no heading\n```"),
    ],
)
def test_the_title_is_taken_out_of_the_body(text: str, title: str, body: str) -> None:
    page = convert(text.encode(), "guide/getting-started.md")
    assert (page.title, page.body) == (title, body)


def test_plain_text_is_not_taken_for_markup() -> None:
    assert md("Install\n# as root\napt install x\n", "a.txt") == "Install\n\\# as root\napt install x"


def test_rst_with_what_only_sphinx_knows() -> None:
    source = """
Server
======

.. toctree::
   a

Use :func:`~os.path.join`, :ref:`the page <target>` and ``code``.

.. versionadded:: 3.2

.. code-block:: python
   :linenos:

   def f():
       return 1

.. tabs::

   .. tab:: Linux

      Run it.

.. note:: Mind the gap.

.. list-table::
   :header-rows: 1

   * - A
     - B
   * - 1
     - 2

.. image:: http://evil.example/x.png
.. include:: /etc/passwd
.. raw:: html

   <script>alert(1)</script>

Options
-------

Broken ``literal and |sub|.
"""
    page = convert(source.encode(), "a.rst")
    assert page.title == "Server"
    assert "Use `join`, the page and `code`." in page.body
    assert "```python\ndef f():\n    return 1\n```" in page.body
    for kept in ("New in version 3.2", "Linux", "Run it.", "Mind the gap.", "| A | B |", "## Options", "Broken"):
        assert kept in page.body
    for gone in ("root:", "script", "evil.example", "linenos", "toctree"):
        assert gone not in page.body


def word(make: Callable[[docx.document.Document], None]) -> bytes:
    document = docx.Document()
    make(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def test_word_documents() -> None:
    def make(document: docx.document.Document) -> None:
        document.add_heading("Refund policy", 1)
        document.add_paragraph("Refunds take 14 days.")
        document.add_heading("Exceptions", 2)
        document.add_paragraph("Gift cards", style="List Bullet")
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip([c for row in table.rows for c in row.cells], ["Plan", "Days", "Pro", "30"], strict=True):
            cell.text = text

    page = convert(word(make), "policy.docx")
    assert (page.title, page.kind) == ("Refund policy", "docx")
    assert "Refunds take 14 days." in page.body
    assert "## Exceptions" in page.body
    assert "- Gift cards" in page.body
    assert "| Pro | 30 |" in page.body


def pdf(pages: list[list[str]], outline: dict[str, int] | None = None, title: str = "") -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    canvas.setTitle(title)
    for number, lines in enumerate(pages):
        for heading in (heading for heading, page in (outline or {}).items() if page == number):
            canvas.bookmarkPage(heading)
            canvas.addOutlineEntry(heading, heading, 0)
        for row, line in enumerate(lines):
            canvas.drawString(72, 800 - 20 * row, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def test_pdf_keeps_lines_and_words_and_takes_headings_from_the_outline() -> None:
    pages = [
        ["Widget manual", "1. Install", "Run these as root:", "# apt install widget", f"{n + 1}"] for n in range(4)
    ]
    page = convert(pdf(pages, outline={"Install": 1}, title="Widget manual 2.1"), "manual.pdf")
    assert (page.title, page.kind) == ("Widget manual 2.1", "pdf")
    assert page.body.count("# 1. Install") == 1
    assert "\\# apt install widget" in page.body
    assert "Widget manual" not in page.body  # the running header
    assert "\n4" not in page.body  # the page number


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (pdf([[], []]), "scan.pdf", "OCR"),
        (b"%PDF-1.7\nrubbish", "bad.pdf", "damaged PDF"),
        (word(lambda document: None)[:-200], "bad.docx", "damaged"),
        (word(lambda document: None), "empty.docx", "no text"),
        (b"# Only a title\n", "a.md", "no text"),
        (b"<html><body><nav>menu</nav></body></html>", "a.html", "no text"),
        (b"![](y.png)\n\n---\n", "a.md", "no text"),
    ],
)
def test_unreadable_documents_say_why(data: bytes, path: str, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        convert(data, path)


@pytest.mark.parametrize(
    "text",
    ["<div>" * 5000 + "deep" + "</div>" * 5000, "> " * 3000 + "deep", "[" * 5000 + "x", "<p" * 20000, "*a " * 20000],
)
@pytest.mark.parametrize("path", ["a.html", "a.md", "a.rst"])
def test_hostile_text_ends_in_a_page_or_a_reason(text: str, path: str) -> None:
    with suppress(UnreadableDocument):
        assert convert(text.encode(), path).body


def test_nothing_in_the_corpus_loses_code(request: pytest.FixtureRequest) -> None:
    corpus = Path(__file__).parents[1].parent / "shared" / "corpora" / "ms-swift-docs"
    if not corpus.is_dir():
        pytest.skip(f"{corpus} is not there")
    for file in sorted(corpus.rglob("*.md"))[::6]:
        source = file.read_text(encoding="utf-8")
        body = md(source)
        for part in source.split("\n```")[1::2]:
            line = max(part.split("\n")[1:] or [""], key=len)
            assert line.strip() in body, (file.name, line)
