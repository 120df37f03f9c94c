"""Sentences and where they are: both languages, lists, tables, code and citation markers."""

from __future__ import annotations

import pytest

from data.sentences import claims, sentences

LINES = [
    ("One is here. Two is there.", ["One is here.", "Two is there."]),
    ("Use it, e.g. Docker. Then stop.", ["Use it, e.g. Docker.", "Then stop."]),
    ("Set `a. B` to 1.5. Restart it!", ["Set `a. B` to 1.5.", "Restart it!"]),
    ("It ends. `code` begins one.", ["It ends.", "`code` begins one."]),
    ("It is 7860. [1][2] More follows [3]. End", ["It is 7860. [1][2]", "More follows [3].", "End"]),
    ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
    ("网关监听 7860 端口。[1]可以修改！真的吗？", ["网关监听 7860 端口。[1]", "可以修改！", "真的吗？"]),
    ("他说“停。”然后走了。", ["他说“停。”", "然后走了。"]),
    ("version 1.2.3 of docduet.toml is old", ["version 1.2.3 of docduet.toml is old"]),
    ("   ", []),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_sentences_of_a_line(line: str, expected: list[str]) -> None:
    assert sentences(line) == expected


def test_what_a_markdown_answer_says() -> None:
    text = (
        "# Ports\n\nFirst this. Then that [1].\n\n1. Open `a.toml`.\n2. Set it. Save it.\n   - [ ] Nested thing\n\n"
        "| Option | Default |\n|---|---|\n| `port` | 7860 |\n\n```bash\n# 1. comment. Two\ndocduet serve\n```\n"
        "> Quoted. [2]\n---\n"
    )
    found = claims(text)
    assert [text[span.start : span.end] for span in found] == [
        "First this.",
        "Then that [1].",
        "Open `a.toml`.",
        "Set it.",
        "Save it.",
        "Nested thing",
        "| Option | Default |",
        "| `port` | 7860 |",
        "# 1. comment. Two\ndocduet serve",
        "Quoted. [2]",
    ]
    assert [span.code for span in found].count(True) == 1


def test_a_code_block_that_was_cut_off() -> None:
    text = "Run:\n\n```\ndocduet"
    assert [(text[span.start : span.end], span.code) for span in claims(text)] == [("Run:", False), ("docduet", True)]
