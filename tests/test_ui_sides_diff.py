"""What only one of two answers says, in both languages; and that marking it changes no word of an answer."""

from __future__ import annotations

import html
import re

import pytest

from ui.markdown import answer_html, sentences
from ui.sides.diff import MOST, only

SAME = [
    ("The gateway listens on port 7860 [1].", "By default the **gateway** is listening on port 7860."),
    ("Hold the power button for 5 seconds. It resets.", "To reset, hold the power button for 5 seconds."),
    ("You can’t do that.", "You can't do that."),
    ("- Use `--port` to change the port.", "To change the port, use `--port`."),
    ("网关默认监听 7860 端口。", "网关监听的默认端口是 7860 [1]。"),
    ("这非常简单，支持无线网络。", "这很简单，支持无线网络。"),
    ("可以用 `--port` 修改端口。", "用 --port 可以改端口，也就是修改端口号。"),
]
OTHER = [
    ("The port is 7860.", "The port is 8080."),
    ("DocDuet reads PDF.", "DocDuet does not read PDF."),
    ("It is version v2.1 of the tool.", "It is version v2.2 of the tool."),
    ("Restart the gateway afterwards.", "All your data is deleted."),
    ("The page was deleted.", "The page wasn't deleted."),
    ("DocDuet 支持 PDF。", "DocDuet 不支持 PDF。"),
    ("端口是 7860。", "端口是 8080。"),
    ("修改以后需要重启网关。", "重置会删除所有数据。"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_the_same_in_other_words_of_the_same_root_is_no_difference(left: str, right: str) -> None:
    assert only(left, right)[0] == frozenset()


@pytest.mark.parametrize(("left", "right"), OTHER)
def test_what_is_said_otherwise_is_a_difference_on_both_sides(left: str, right: str) -> None:
    assert only(left, right) == ({left}, {right})
    assert only(right, left) == ({right}, {left})


def test_a_sentence_may_stand_in_two_of_the_other_and_only_it_is_marked() -> None:
    left = "Stop the gateway, move the home folder and start the gateway on the new machine. Then tell everybody."
    right = "First stop the gateway and move the home folder. Start the gateway on the new machine."
    assert only(left, right) == ({"Then tell everybody."}, frozenset())


def test_identical_answers_differ_in_nothing_and_an_empty_one_in_everything() -> None:
    text = "# Ports\n\nIt is 7860 [1]. 端口可以修改。\n\n```\nserve --port 1\n```\n"
    assert only(text, text) == (frozenset(), frozenset())
    assert only(text, "") == (set(sentences(text)), frozenset())


def test_answers_of_a_thousand_lines_are_not_compared() -> None:
    long = "\n\n".join(f"Line number {n}." for n in range(MOST + 1))
    assert only(long, "Another.") == (frozenset(), frozenset())
    assert only("word " * 200_000, "Another.") == (frozenset(), frozenset())


TEXT = """Read **it. All of** it, e.g. `a. b` [1]. Then <b>stop</b>!

> Quoted. *Twice.*

1. One thing.
2. [A link. Yes.](https://x.example/a)

| a b | c |
|-----|---|
| 1 2 | 3 |

```toml
port = 1
```
第一句。第二句！\u205f\u1680"""


def test_sentences_are_cut_where_they_end_and_markers_stay_with_them() -> None:
    found = sentences(TEXT)
    assert found[1] == "All of** it, e.g. `a."
    assert "Quoted." in found
    assert "*Twice.*" in found
    assert found[-3:] == ["port = 1", "第一句。", "第二句！"]
    assert sentences("It is so. [1] Next [2].") == ["It is so. [1]", "Next [2]."]


def test_marks_change_no_word_and_close_properly() -> None:
    def words(page: str) -> str:
        return html.unescape(re.sub("<[^>]*>", "", page))

    marked = answer_html(TEXT, "k", [1], marked=sentences(TEXT))
    plain = answer_html(TEXT, "k", [1])
    assert words(marked).split() == words(plain).split()
    assert marked.count("<mark>") == marked.count("</mark>") >= len(sentences(TEXT))
    assert "<mark>port = 1</mark>" in marked
    assert "<td><mark>1 2</mark></td>" in marked
    assert "<mark><em>Twice.</em></mark>" in marked
    assert 'href="#src-k-1"' in marked
    assert "<b>" not in marked
    assert "\u205f" not in marked
    assert "\u1680" not in marked
