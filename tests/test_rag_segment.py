"""Chinese words are jieba's own, wherever its table comes from."""

from __future__ import annotations

from pathlib import Path

import jieba
import pytest

from rag import segment

TEXT = "网关默认监听端口可以用参数修改磁盘已满时报错程序员使用机器学习框架训练多模态大模型"


def fresh() -> list[str]:
    """Words as a new process would cut them."""
    segment._load.cache_clear()
    return [word for word, _ in segment.words(TEXT)]


def test_the_same_words_as_jieba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    own = jieba.lcut(TEXT)
    assert fresh() == own  # made anew
    (kept,) = (tmp_path / "cache").iterdir()
    assert fresh() == own  # read
    kept.write_bytes(kept.read_bytes()[:1000])
    assert fresh() == own  # damaged: made anew, and repaired
    assert kept.stat().st_size > 1_000_000


def test_places() -> None:
    assert all(TEXT[at : at + len(word)] == word for word, at in segment.words(TEXT))


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("DOCDUET_HOME", str(blocked))
    assert fresh() == jieba.lcut(TEXT)
