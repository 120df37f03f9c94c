"""Marks behind sentences, through the whole way from Markdown to HTML."""

from __future__ import annotations

import re

import pytest

from data.sentences import claims
from ui.flags import Flag, carry, put
from ui.markdown import LONGEST, answer_html


def marked(text: str) -> str:
    """``text`` as HTML, each of its sentences marked; marks stand as ^."""
    flags = [Flag(span.end, "backed", "Backed", "/pages/ab") for span in claims(text)]
    return re.sub(r'<a class="dd-flag[^>]*></a>', "^", answer_html(text, "k", [1], flags=flags)).strip()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One. Two.", "<p>One.^ Two.^</p>"),
        ("**Bold.** *It.*", "<p><strong>Bold.^</strong> <em>It.^</em></p>"),
        ("一句。**下一句。**好。", "<p>一句。^<strong>下一句。^</strong>好。^</p>"),
        ("- one\n- `two`", "<ul>\n<li>one^</li>\n<li><code>two</code>^</li>\n</ul>"),
        ("Line one  \nLine two", "<p>Line one^<br>\nLine two^</p>"),
    ],
)
def test_a_mark_stands_behind_its_sentence_and_breaks_nothing(text: str, html: str) -> None:
    assert marked(text) == html


def test_a_mark_in_a_table_or_a_code_block_leaves_it_whole() -> None:
    assert "<td>2^</td>" in marked("| a | b |\n|---|---|\n| 1 | 2 |")
    assert "<pre><code>port = 1^\n</code></pre>" in marked("```toml\nport = 1\n```")


def test_a_mark_behind_a_citation() -> None:
    assert re.search(r"\[1\]</a>^</p>".replace("^", r"\^"), marked("Set it. [1]"))


@pytest.mark.parametrize("end", [-3, 99, LONGEST * 2])
def test_a_mark_beyond_the_text_is_left_out(end: int) -> None:
    assert carry("Some text.", [Flag(end, "backed", "x")]) == "Some text."


def test_characters_of_a_text_are_no_marks() -> None:
    assert "dd-flag" not in answer_html("a \U000f0000 b", "k", [], flags=[Flag(99, "backed", "x")])
    assert put("a \U000f0005 b", []) == "a  b"


def test_a_label_and_an_address_cannot_break_out() -> None:
    flags = [Flag(3, "backed", '"><script>1</script>', 'javascript:1"')]
    html = answer_html("Yes", "k", [], flags=flags)
    assert "<script" not in html
    assert "href" not in html
