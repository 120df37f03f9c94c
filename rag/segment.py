"""Chinese text into dictionary words: jieba, loaded on first use, quietly and in a fifth of jieba's own time.

jieba keeps its half million words as a marshalled table that takes 0.8 s to read, longer than making it anew. Here
it is JSON, read by orjson, in DOCDUET_HOME/cache; jieba's own would lie in /tmp, where another user could prepare it.
It can be deleted at any time.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from data.home import Home

_loading = threading.Lock()


def words(run: str) -> Iterator[tuple[str, int]]:
    """The words of a run of Chinese characters, with their places in it."""
    at = 0
    for word in _jieba().lcut(run):
        yield word, at
        at += len(word)


def _jieba() -> Any:
    with _loading:
        return _load()


@cache
def _load() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes and pkg_resources, on import
        import jieba

    jieba.setLogLevel(logging.CRITICAL)
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = _table(tokenizer, Home.from_env().cache / f"jieba-{jieba.__version__}.json")
    tokenizer.initialized = True
    return tokenizer


def _table(tokenizer: Any, path: Path) -> tuple[dict[str, int], int]:
    """How often each word occurs (0: only the beginning of one), and the sum."""
    with suppress(OSError, ValueError, TypeError):
        frequencies, total = orjson.loads(path.read_bytes())
        if isinstance(frequencies, dict) and isinstance(total, int):
            return frequencies, total
    table: tuple[dict[str, int], int] = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    with suppress(OSError):  # a home that cannot be written, or a full disk: it is made anew each time
        _save(path, orjson.dumps(table))
    return table


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
