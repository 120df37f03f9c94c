"""Thinking never reaches the answer, however it is split."""

import pytest

from data.thinking import ThinkSplitter

CASES = [
    ("plain answer", "", "plain answer"),
    ("<think>why</think>answer", "why", "answer"),
    ("\n<think>\nwhy\n</think>\n\nanswer", "\nwhy\n", "answer"),
    ("<think></think>answer", "", "answer"),
    ("<think>never ends", "never ends", ""),
    ("<thin ice", "", "<thin ice"),
    ("see <think> later", "", "see <think> later"),
    ("<think>a </thin b</think>c", "a </thin b", "c"),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "thinking", "answer"), CASES)
@pytest.mark.parametrize("cut", [1, 2, 5, 1000])
def test_split(text: str, thinking: str, answer: str, cut: int) -> None:
    splitter = ThinkSplitter()
    pieces = [splitter.feed(text[i : i + cut]) for i in range(0, len(text), cut)] + [splitter.close()]
    assert ("".join(t for t, _ in pieces), "".join(a for _, a in pieces)) == (thinking, answer)
