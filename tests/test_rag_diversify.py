"""Passages worth their room: nothing twice, no page everywhere."""

from __future__ import annotations

import pytest

from rag.diversify import diversify, shingles, similarity

LONG = "Start the gateway with the command docduet serve and open the address that it prints in your browser. "


def test_the_same_text_is_shown_once_at_its_best_rank() -> None:
    texts = [LONG * 2, "Something else entirely, about logs and where they lie.", f"  {LONG}\n{LONG.upper()}"]
    assert diversify(["a", "b", "c"], texts, 3, 0) == [0, 1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("The port is 7860.", "The port is 7861."),
        ("swift sft --lora_rank 8", "swift sft --lora_rank 16"),
        ("网关默认监听七八六零端口", "引擎默认监听七八六一端口"),
        ("Use pip on Linux", "Use pip on macOS"),
    ],
)
def test_a_changed_value_is_another_passage(left: str, right: str) -> None:
    assert diversify(["a", "b"], [left, right], 2, 0) == [0, 1]


def test_one_changed_word_in_a_long_passage_is_the_same_in_both_languages() -> None:
    english = " ".join(f"Then press key {n} and wait until lamp {n * n} is lit." for n in range(12))
    chinese = "".join(f"然后按第{n}个键，等到第{n * n}盏灯亮起。" for n in range(12))
    for text, old, new in ((english, "lamp 36", "light 36"), (chinese, "第36盏", "第36个")):
        assert text.count(old) == 1
        assert diversify(["a", "b"], [text, text.replace(old, new)], 2, 0) == [0]


def test_a_page_has_so_many_places_and_more_only_where_nobody_else_is_there() -> None:
    texts = [f"text number {n} says {n * 7} and {n * 11}" for n in range(6)]
    pages = ["a", "a", "a", "a", "b", "c"]
    assert diversify(pages, texts, 4, 2) == [0, 1, 4, 5]
    assert diversify(pages, texts, 5, 2) == [0, 1, 2, 4, 5]
    assert diversify(pages, texts, 4, 0) == [0, 1, 2, 3]


def test_similarity_is_jaccard() -> None:
    left, right = shingles("a b c d e f g h"), shingles("a b c d e f g x")
    assert similarity(left, left) == 1.0
    assert similarity(left, right) == pytest.approx(4 / 6)
    assert similarity(left, shingles("a b c d")) == 0.0
