"""Chunks: exact slices of the page, whole text covered, structure respected."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.types import Page
from rag.chunk import Chunk, chunk_page, estimate_tokens

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "# One",
                "## Two",
                "### 三",
                "```",
                "~~~",
                "| a | b |",
                "|---|---|",
                "| 1 | 2 |",
                "- item",
                "1. one",
                "> q",
            ]
        ),
        st.sampled_from(
            ["", "", "    code", "<div>", "</div>", "[ref]: http://x.example", "Title", "=====", "---", "\t"]
        ),
        st.text(max_size=80),
        st.sampled_from(["word " * 200, "中文。" * 150, "x" * 900]),
    ),
    max_size=30,
)


def page(body: str, title: str = "Guide") -> Page:
    return Page("guide.md", title, body)


def check(body: str, chunks: list[Chunk]) -> None:
    """Slices are exact and in order, none is empty, and what no chunk holds is blank."""
    at = 0
    for chunk in chunks:
        assert body[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        assert not body[at : chunk.start].strip()
        at = chunk.end
    assert not body[at:].strip()


@settings(max_examples=200, deadline=None)
@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from([32, 60, 220]), st.sampled_from([0, 300]))
def test_offsets_are_exact_and_everything_is_covered(lines: list[str], newline: str, size: int, whole: int) -> None:
    body = newline.join(lines)
    chunks = chunk_page(page(body), size, whole)
    check(body, chunks)
    assert all(estimate_tokens(chunk.text) <= max(size, whole + 60 if whole else 0) for chunk in chunks)


def test_heading_paths() -> None:
    long = "Some words about this. " * 20
    body = f"Intro. {long}\n\n# Setup\n\n{long}\n\n## Port `7860`\n\n{long}\n\n# Usage\n\n{long}"
    paths = [chunk.heading_path for chunk in chunk_page(page(body), 220)]
    assert paths == [(), ("Setup",), ("Setup", "Port 7860"), ("Usage",)]


def test_a_comment_in_code_is_no_heading() -> None:
    body = "# Install\n\n```shell\n# not a heading\npip install x\n```\n"
    chunks = chunk_page(page(body), 220)
    assert [(chunk.heading_path, "# not a heading" in chunk.text) for chunk in chunks] == [(("Install",), True)]


def test_code_that_fits_is_not_torn() -> None:
    code = "```python\n" + "print('line of code')\n" * 12 + "```"
    body = ("Words before it. " * 40) + "\n\n" + code + "\n\n" + ("Words after it. " * 40)
    assert any(code in chunk.text for chunk in chunk_page(page(body), 220))


@pytest.mark.parametrize(
    "block",
    [
        "```python\n" + "print('line of code')\n" * 40 + "```",
        "\n".join(["| name | meaning |", "|---|---|", *(f"| option-{n} | what number {n} does |" for n in range(40))]),
    ],
)
def test_tables_and_code_stay_whole_up_to_their_cap_with_what_introduces_them(block: str) -> None:
    body = f"{'Words before it. ' * 40}\n\nDo it like this:\n\n{block}\n\n{'Words after it. ' * 40}"
    assert 220 < estimate_tokens(block) < 660
    chunks = chunk_page(page(body), 220, 660)
    check(body, chunks)
    (holder,) = [chunk for chunk in chunks if block in chunk.text]
    assert holder.text.endswith(f"Do it like this:\n\n{block}")
    assert estimate_tokens(holder.text) <= estimate_tokens(block) + 60
    assert not any(block in chunk.text for chunk in chunk_page(page(body), 220, 200))


def test_a_short_lead_in_goes_with_its_block() -> None:
    code = "```\n" + "print('line of code')\n" * 40 + "```"
    (chunk,) = chunk_page(page(f"# Run\n\nDo it like this:\n\n{code}"), 220, 660)
    assert chunk.text == f"# Run\n\nDo it like this:\n\n{code}"


def test_a_large_table_is_cut_between_rows_and_keeps_its_header_for_search() -> None:
    rows = [f"| option-{n} | what option number {n} does |" for n in range(60)]
    body = "\n".join(["| name | meaning |", "|---|---|", *rows])
    chunks = chunk_page(page(body), 220)
    check(body, chunks)
    assert len(chunks) > 2
    for chunk in chunks:
        assert all(line.startswith("|") and line.endswith("|") for line in chunk.text.splitlines())
        assert "| name | meaning |" in chunk.searchable


def test_small_sections_join_their_siblings_but_not_their_neighbours_elsewhere() -> None:
    long = "Some words about this. " * 20
    body = f"# A\n\n{long}\n\n## A1\n\nTiny.\n\n## A2\n\nAlso tiny.\n\n# B\n\n{long}"
    chunks = chunk_page(page(body), 220)
    together = next(chunk for chunk in chunks if "Also tiny." in chunk.text)
    assert "Tiny." in together.text
    assert together.heading_path[0] == "A"
    assert [chunk.heading_path for chunk in chunks if "# B" in chunk.text] == [("B",)]


def test_a_heading_stays_with_its_first_subsection() -> None:
    body = "# Setup\n\n## Port\n\nListens on 7860."
    assert [chunk.heading_path for chunk in chunk_page(page(body), 220)] == [("Setup", "Port")]


@pytest.mark.parametrize("body", ["", "  \n\n\t", "\r\n"])
def test_a_blank_page_has_no_chunks(body: str) -> None:
    assert chunk_page(page(body), 220) == []


def test_chinese_without_headings() -> None:
    body = "网关默认监听七八六零端口，可以在配置文件里修改。" * 100
    chunks = chunk_page(Page("zh.md", "端口", body, "zh"), 220)
    check(body, chunks)
    assert all(len(chunk.text) <= 220 for chunk in chunks)
    assert all(chunk.text[-1] in "，。" for chunk in chunks)


def test_one_megabyte_in_one_line() -> None:
    body = "word " * 200_000
    chunks = chunk_page(page(body), 220)
    check(body, chunks)
    assert len(chunks) > 500
