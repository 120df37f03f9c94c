"""feedback.jsonl: what is written is read again, whoever was killed meanwhile."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.errors import ConfigError
from data.feedback import Feedback, Turn, amend_feedback, append_feedback, read_feedback

ONE = Feedback(
    question="How many?",
    answer="Two.",
    correction="Three: 三.",
    history=(Turn(role="user", content="Hi"), Turn(role="assistant", content="Hello")),
    sources=("a.md",),
)
OTHER = Feedback(question="Why?", answer="So.")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "home" / "feedback.jsonl"
    append_feedback(path, ONE)
    append_feedback(path, OTHER)
    assert read_feedback(path) == [ONE, OTHER]


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    wanted = [Feedback(question=f"q{n}" * 400, answer="a") for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: append_feedback(path, one), wanted))
    assert sorted(one.question for one in read_feedback(path)) == sorted(one.question for one in wanted)


@pytest.mark.parametrize("cut", [1, 20, 80])
def test_a_torn_last_line_is_skipped_and_then_mended(
    tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "feedback.jsonl"
    append_feedback(path, OTHER)
    whole = path.stat().st_size
    append_feedback(path, ONE)
    with path.open("r+b") as file:
        file.truncate(whole + cut)
    with caplog.at_level(logging.WARNING):
        assert read_feedback(path) == [OTHER]
    assert "torn" in caplog.text
    append_feedback(path, ONE)
    assert read_feedback(path) == [OTHER, ONE]


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text(OTHER.model_dump_json())
    append_feedback(path, ONE)
    assert read_feedback(path) == [OTHER, ONE]


def test_a_broken_line_in_the_middle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text(f'{OTHER.model_dump_json()}\n{{"question": "x"}}\n{OTHER.model_dump_json()}\n')
    with pytest.raises(ConfigError, match="line 2"):
        read_feedback(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_feedback(tmp_path / "none.jsonl")


def test_a_change_sees_every_line_before_it(tmp_path: Path) -> None:
    """Each of many writers counts what is there: two that read at the same time would write the same number."""
    path = tmp_path / "feedback.jsonl"

    def count(_: int) -> None:
        amend_feedback(path, lambda lines: [OTHER.model_copy(update={"answer": str(len(lines))})])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(20)))
    assert [entry.answer for entry in read_feedback(path)] == [str(n) for n in range(20)]
    amend_feedback(path, lambda _: [])
    assert len(read_feedback(path)) == 20
