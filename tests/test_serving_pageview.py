"""Stored pages as safe HTML, the quote highlighted across elements."""

import pytest
from bs4 import BeautifulSoup

from data.types import Page
from serving.api.pageview import page_html


def marked(body: str, quote: str) -> str:
    soup = BeautifulSoup(page_html(Page("a.md", "T", body), quote), "html.parser")
    return "".join(mark.get_text() for mark in soup.find_all("mark"))


def test_quote_is_marked_through_bold_code_and_lists() -> None:
    body = "Intro text.\n\n- Set **port** to `8000`.\n- Restart it.\n\nThe end."
    assert marked(body, "- Set **port** to `8000`.\n- Restart it.") == "Set port to 8000.Restart it"


def test_first_mark_is_the_links_target() -> None:
    html = page_html(Page("a.md", "T", "One *two* three."), "One *two* three.")
    assert html.count('id="quote"') == 1


def test_chinese_quote() -> None:
    assert marked("安装之后，运行 `docduet sync`。\n\n然后提问。", "运行 `docduet sync`") == "运行 docduet sync"


def test_a_quote_that_is_cut_off_marks_what_stands_there() -> None:
    body = "The gateway listens on port 7860 and the engine on another one."
    assert marked(body, "listens on port 7860 and the engine was removed").startswith("listens on port 7860")


def test_a_quote_that_is_not_there_marks_nothing() -> None:
    assert marked("Something else.", "The gateway listens on port 7860") == ""


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "![x](http://evil.example/p.png)",
        "![x][r]\n\n[r]: http://evil.example/p.png",
        "[x](javascript:alert(1))",
        "[x](data:text/html,boo)",
        '<iframe src="http://evil.example"></iframe>',
        '<a href="http://ok" onclick="x()">y</a>',
        "<style>body{display:none}</style>",
    ],
)
def test_hostile_pages_are_harmless(hostile: str) -> None:
    soup = BeautifulSoup(page_html(Page("a.md", hostile, hostile), hostile), "html.parser")
    assert not soup.find_all(["script", "img", "iframe", "object", "embed", "form"])
    assert len(soup.find_all("style")) == 1
    for tag in soup.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on")]
        assert not str(tag.get("href", "")).startswith(("javascript:", "data:"))
