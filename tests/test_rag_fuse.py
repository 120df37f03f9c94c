"""Reciprocal rank fusion."""

from __future__ import annotations

import pytest

from rag.fuse import K, fuse


def test_the_formula() -> None:
    fused = dict(fuse([(1.0, [7, 8]), (0.5, [8])]))
    assert fused == {7: pytest.approx(1 / (K + 1)), 8: pytest.approx(1 / (K + 2) + 0.5 / (K + 1))}


def test_being_on_both_lists_wins() -> None:
    assert fuse([(1.0, [1, 2, 3]), (1.0, [4, 2, 5])])[0][0] == 2


def test_ties_do_not_depend_on_order() -> None:
    assert [item for item, _ in fuse([(1.0, [9]), (1.0, [3])])] == [3, 9]


def test_nothing_in_nothing_out() -> None:
    assert fuse([(1.0, []), (1.0, [])]) == []
