"""BM25's matrix against bm25s' own, and the table of tokens it is counted from."""

from __future__ import annotations

from pathlib import Path

import bm25s
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.bm25 import K1, B, bm25_of
from rag.tokens import TokenTable, joined, tabulate

WORDS = st.sampled_from(["alpha", "beta", "gamma", "delta", "端口", "网关", "err_1234", "x"])
CHUNKS = st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=20).filter(any)


@given(CHUNKS)
@settings(max_examples=150, deadline=None)
def test_the_same_scores_as_bm25s_own_indexing(chunks: list[list[str]]) -> None:
    peer = bm25s.BM25(k1=K1, b=B)
    peer.index(chunks if chunks[0] else [*chunks[1:], chunks[0]], show_progress=False)
    ours = bm25_of(tabulate(chunks if chunks[0] else [*chunks[1:], chunks[0]]))
    for word in {word for chunk in chunks for word in chunk}:
        theirs = peer.get_scores_from_ids([peer.vocab_dict[word]])
        assert np.array_equal(ours.get_scores_from_ids([ours.vocab_dict[word]]), theirs)
        assert theirs.any()


def test_saved_and_loaded(tmp_path: Path) -> None:
    table = tabulate([["a", "b", "a"], [], ["b"]])
    index = bm25_of(table)
    index.save(tmp_path, show_progress=False)
    again = bm25s.BM25.load(tmp_path, mmap=True, show_progress=False)
    query = again.get_tokens_ids(["a", "b"])
    assert np.array_equal(again.get_scores_from_ids(query), index.get_scores_from_ids(query))
    assert again.get_scores_from_ids(query)[1] == 0
    table.save(tmp_path)
    loaded = TokenTable.load(tmp_path, list(again.vocab_dict))
    assert words(loaded) == [["a", "b", "a"], [], ["b"]]


@given(CHUNKS, st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=150, deadline=None)
def test_put_together_is_as_made_at_once(chunks: list[list[str]], one: int, two: int) -> None:
    first, last = sorted((min(one, len(chunks)), min(two, len(chunks))))
    whole = tabulate(chunks)
    parts = [
        tabulate(chunks[:first]),
        tabulate([["other"], *chunks]).rows(first + 1, last + 1),
        tabulate(chunks[last:]),
    ]
    together = joined(parts)
    assert words(together) == chunks
    assert list(together.vocabulary) == list(whole.vocabulary)  # without "other", and numbered alike
    assert np.array_equal(together.ids, whole.ids)
    assert np.array_equal(together.offsets, whole.offsets)


def words(table: TokenTable) -> list[list[str]]:
    return [[table.vocabulary[n] for n in table.of(i)] for i in range(len(table))]
