"""Markdown as safe HTML: hostile input stays text, markers lead to cards."""

from __future__ import annotations

import re

import pytest

from ui.markdown import LONGEST, answer_html, quote_html, safe_href

ALLOWED = re.compile(
    r"</?(p|br|hr|h[1-6]|em|strong|s|code|pre|blockquote|ul|ol|li|table|thead|tbody|tr|th|td|a|div|span|button|mark)\b"
)

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<b onmouseover=alert(1)>x</b>",
    "![x](http://evil.test/a.png)",
    "![x][1]\n\n[1]: http://evil.test/a.png",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html,<script>1</script>)",
    "[x](vbscript:1)",
    "[x](//evil.test)",
    "[x](/v1/chat)",
    "[x](/pages/../v1)",
    "<http://evil.test/><javascript:alert(1)>",
    '```"><script>alert(1)</script>\nx\n```',
    "| <script>1</script> |\n|---|\n| ![a](http://evil.test) |",
    "\x1b[31mred\x1b[0m \x9b31m \u202eevil",
    '[x](http://a.test" onclick="alert(1))',
    "<style>*{display:none}</style><iframe src=//evil.test></iframe><form action=//evil.test>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_becomes_markup(text: str) -> None:
    for html in (answer_html(text, "k", [1]), quote_html(text, [(0, 2), (3, 5)])):
        for tag in re.findall(r"<[^>]*>", html):
            assert ALLOWED.match(tag), tag
            assert not re.search(r"\son\w+=|javascript:|src=|style=", tag), tag
            if href := re.search(r'href="([^"]*)"', tag):
                assert href[1].startswith(("http://", "https://", "#src-")), tag
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", html)


def test_an_image_is_its_words() -> None:
    html = answer_html("![the **diagram**](http://evil.test/a.png)", "k", [])
    assert "evil.test" not in html
    assert "diagram" in html


def test_a_marker_leads_to_its_card() -> None:
    html = answer_html("Set it [1][2].", "ab12", [1])
    assert html.count("<a ") == 1
    assert 'href="#src-ab12-1"' in html
    assert 'data-source="1"' in html
    assert "[2]" in re.sub("<[^>]*>", "", html)


@pytest.mark.parametrize("text", ["`[1]`", "```\n[1]\n```", "    [1]"])
def test_a_marker_in_code_is_code(text: str) -> None:
    assert "dd-cite" not in answer_html(text, "k", [1])


@pytest.mark.parametrize("text", ["see [1](http://evil.test)", "see [1]\n\n[1]: http://evil.test"])
def test_a_marker_never_leads_elsewhere(text: str) -> None:
    html = answer_html(text, "k", [1])
    assert 'href="http://evil.test' not in html
    assert 'href="#src-k-1"' in html


def test_links_open_elsewhere_without_a_trace() -> None:
    html = answer_html("[docs](https://example.org/a?b=1&c=2)", "k", [])
    assert 'target="_blank"' in html
    assert "noopener noreferrer" in html
    assert 'href="https://example.org/a?b=1&amp;c=2"' in html


def test_code_can_be_copied_and_names_its_language() -> None:
    html = answer_html("```bash\ndocduet serve\n```", "k", [], copy_label="复制")
    assert '<button type="button" class="dd-copy-code" data-copy="code">复制</button>' in html
    assert "<span>bash</span>" in html
    assert "<code>docduet serve\n</code>" in html


def test_tables_scroll_in_a_box_of_their_own() -> None:
    assert '<div class="dd-table"><table>' in answer_html("|a|b|\n|---|---|\n|1|2|", "k", [])


def test_an_unfinished_code_block_is_shown_while_it_streams() -> None:
    assert "<code>docduet" in answer_html("```bash\ndocduet", "k", [])


def test_marks_stand_around_the_matching_words() -> None:
    html = quote_html("Set the **port** in `docduet.toml`.", [(10, 14), (21, 28)])
    assert "<strong><mark>port</mark></strong>" in html
    assert "<code><mark>docduet</mark>.toml</code>" in html


@pytest.mark.parametrize("marks", [[(5, 2)], [(-3, 2)], [(0, 999)], [(0, 3), (1, 4)]])
def test_marks_that_make_no_sense_lose_no_text(marks: list[tuple[int, int]]) -> None:
    assert re.sub("<[^>]*>", "", quote_html("some words", marks)).strip() == "some words"


def test_marks_count_characters_before_cleaning() -> None:
    assert "<mark>port</mark>" in quote_html("\x1b\u202eport", [(2, 6)])


def test_private_characters_in_a_document_are_no_marks() -> None:
    assert "<mark>" not in quote_html("a \ue000b\ue001 c", [])


def test_a_quote_has_no_links() -> None:
    html = quote_html("[next](https://example.org/x)", [(1, 5)])
    assert "<a" not in html
    assert "<mark>next</mark>" in html


def test_a_huge_text_is_cut() -> None:
    html = answer_html("x" * (LONGEST * 5), "k", [])
    assert len(html) < LONGEST * 1.1


@pytest.mark.parametrize("text", ["[" * 20_000, "*" * 20_000, "> " * 5_000, "|a" * 5_000 + "\n" + "|-" * 5_000])
def test_pathological_markdown_comes_out(text: str) -> None:
    assert answer_html(text, "k", [1])


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        ("https://example.org/a", True),
        ("http://127.0.0.1:7860/pages/ab?quote=x", True),
        ("/pages/ab12?quote=set%20it", True),
        ("//evil.test/x", False),
        ("/pages/../v1/models", False),
        ("javascript:alert(1)", False),
        (" https://a.test", False),
        ("https:\\\\evil.test", False),
        ("https://", False),
        ("http://[::", False),
        ("", False),
    ],
)
def test_safe_href(href: str, kept: bool) -> None:
    assert safe_href(href) == (href if kept else "")


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("--port", '<code class="dd-whole">--port</code>'),
        ("docduet.toml", "<code>docduet.toml</code>"),
        ("docduet serve --port", "<code>docduet serve --port</code>"),
        ("--an-option-that-is-longer-than-a-phone", "<code>--an-option-that-is-longer-than-a-phone</code>"),
        ('--x="<b>', '<code class="dd-whole">--x="&lt;b&gt;</code>'),
    ],
)
def test_short_options_are_not_broken_at_their_hyphens(code: str, shown: str) -> None:
    assert shown in answer_html(f"Set `{code}`.", "k", [])
